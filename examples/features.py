# %% [markdown]
# # Features instead of pixels
# Before nets learnt what to look at, people told them. Two such features: histograms of oriented gradients say in which
# directions brightness changes in each small square, and so know of shapes; a histogram of hues knows of colours and
# of nothing else. The same net of two layers is trained on both together, and on raw pixels.
#
# CIFAR-10 is read from the folder that FASTNET_DATA names; without it, generated images take its place.

# %%
import os

from matplotlib import pyplot
from sklearn.pipeline import make_union

import fastnet
from fastnet import data, optim, schedules
from fastnet.estimators import HOG, HueHistogram

TRAIN, TEST, EPOCHS = 10_000, 2000, 10

train, test = data.cifar10(download=False) if os.environ.get("FASTNET_DATA") else data.synthetic(TRAIN, TEST)
train, test = train[:TRAIN], test[:TEST]
print(f"{len(train):,} images to train on, {len(test):,} to test: {train.source}")

# %%
features = make_union(HOG(cells_per_block=(2, 2)), HueHistogram(bins=10))
rows, test_rows = features.fit_transform(train.images), features.transform(test.images)
print(f"{rows.shape[1]} numbers an image instead of {train.images[0].size:,}")


# %%
def trained(x, test_x, lr):
    """The history of a net of two layers."""
    fastnet.manual_seed(0)
    normalize = data.Normalize.per_channel(x)
    batches = data.DataLoader(x, train.labels, 128, normalize=normalize)
    net = fastnet.Sequential(fastnet.Linear(x.shape[1], 500), fastnet.ReLU(), fastnet.Linear(500, 10))
    optimizer = optim.SGD(net.parameters(), lr, momentum=0.9, weight_decay=2e-3)
    schedule = fastnet.LearningRateSchedule(schedules.one_cycle(lr, EPOCHS * len(batches)))
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), optimizer, [schedule])
    return trainer.fit(batches, EPOCHS, data.DataLoader(test_x, test.labels, 500, shuffle=False, normalize=normalize))


histories = {"pixels": trained(train.images.reshape(len(train), -1), test.images.reshape(len(test), -1), lr=0.005),
             "features": trained(rows, test_rows, lr=0.05)}
for name, history in histories.items():
    print(f"{name}: {history['val_accuracy'][-1]:.1%} of the test images right, {history['accuracy'][-1]:.1%} of the "
          "training images")

# %%
figure, axes = pyplot.subplots(layout="constrained")
for name, color in (("pixels", "tab:orange"), ("features", "tab:blue")):
    history = histories[name]
    axes.plot(history["epoch"], history["accuracy"], "--", color=color, label=f"{name}, training images")
    axes.plot(history["epoch"], history["val_accuracy"], color=color, label=f"{name}, test images")
axes.set(xlabel="epoch", ylabel="accuracy")
axes.legend()

figure.savefig("features.png", dpi=120)
