# %% [markdown]
# # A class for each pixel
#
# Generated grey images with a disc and a square, in noise. A small U-Net tells for each pixel whether it belongs to the
# ground, to the disc or to the square.

# %%
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import fastnet
from fastnet import metrics, models

IMAGES, EPOCHS = 600, 5
CLASSES = ("ground", "disc", "square")


def shapes(count, seed, side=32):
    """Images (N, 1, side, side) and the class of each pixel (N, side, side)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((count, side, side), np.int64)
    for label in labels:
        (cy, cx), radius = rng.uniform(6, side - 6, 2), rng.uniform(3, 8)
        label[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 1
        (cy, cx), half = rng.uniform(6, side - 6, 2), rng.uniform(2.5, 6)
        label[np.maximum(abs(y - cy), abs(x - cx)) < half] = 2
    brightness = np.array([0.5, 1.0, 1.5]) + rng.uniform(-0.2, 0.2, (count, 3))     # other greys in each image
    images = np.take_along_axis(brightness, labels.reshape(count, -1), axis=1).reshape(count, 1, side, side)
    return (images + rng.normal(0, 0.1, images.shape)).astype(np.float32) - 1, labels


train, test = shapes(IMAGES, seed=0), shapes(IMAGES // 4, seed=1)

# %% [markdown]
# ## The net and its training
#
# The loss is that of a classifier, with a row of scores for each pixel. Since most pixels are ground, the mean over the
# classes of intersection over union says more than accuracy.

# %%
fastnet.manual_seed(0)
net = models.unet(num_classes=3, width=0.125, dropout=0.0, batch_norm=True)
print(fastnet.summary(net, (1, 1, 32, 32)))
trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), fastnet.Adam(net.parameters(), 5e-3))
trainer.fit(train, EPOCHS, batch_size=20)
scores = fastnet.predict(net, test[0], batch_size=50)
iou = metrics.mean_iou(3)(scores, test[1])
print(f"accuracy {(scores.argmax(axis=1) == test[1]).mean():.3f}, mean intersection over union {iou:.3f}")

# %% [markdown]
# ## Images, truth and what the net says

# %%
figure = Figure(figsize=(9, 5), layout="constrained")
for row, (title, pictures) in zip(figure.subplots(3, 6), (("image", test[0][:, 0]), ("truth", test[1]),
                                                         ("net", scores.argmax(axis=1))), strict=True):
    for ax, picture in zip(row, pictures, strict=False):
        ax.imshow(picture, **({"cmap": "gray"} if title == "image" else {"cmap": "viridis", "vmin": 0, "vmax": 2}))
        ax.set_axis_off()
    row[0].set_title(title, loc="left")
colours = colormaps["viridis"](np.linspace(0, 1, len(CLASSES)))
figure.legend(handles=[Patch(color=colour, label=name) for name, colour in zip(CLASSES, colours, strict=True)],
              loc="outside lower center", ncols=len(CLASSES))
figure.savefig("segmentation_unet.png")
