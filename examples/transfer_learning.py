# %% [markdown]
# # Transfer learning
#
# A net learns five classes from many images. Then there are five other classes, and few images of them. Three ways: a
# new net; the old one with its features frozen and a new head; and that one fine-tuned as a whole.

# %%
import fastnet
from fastnet import data, models, plot

MANY, FEW, EPOCHS = 2000, 100, 8

# %% [markdown]
# ## The images, divided by class

# %%
train, test = data.synthetic(2 * MANY, 1000)
normalize = data.Normalize.per_channel(train.images)


def batches(part, shuffle=True):
    return data.DataLoader(part.images, part.labels % 5, 50, shuffle, normalize=normalize)


old, new, unseen = train[train.labels < 5], train[train.labels >= 5][:FEW], test[test.labels >= 5]
print(f"{len(old):,} images of {', '.join(train.classes[:5])}; {len(new)} of {', '.join(train.classes[5:])}")

# %% [markdown]
# ## What is learnt from many images goes to a file

# %%
fastnet.manual_seed(0)
net = models.small_convnet(5)
trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), fastnet.Adam(net.parameters(), 1e-3))
trainer.fit(batches(old), max(EPOCHS // 2, 1))
fastnet.save_weights(net, "features.npz")


# %% [markdown]
# ## Three ways to learn from few


# %%
def learn(net, lr):
    """The history of a training of what is not frozen."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), fastnet.Adam(trained, lr))
    return trainer.fit(batches(new), EPOCHS, validation=batches(unseen, shuffle=False))


scratch = learn(models.small_convnet(5), 1e-3)

tuned = models.small_convnet(5)
fastnet.load_weights(tuned, "features.npz")
fastnet.freeze(tuned)                                       # norms and dropouts included
head = tuned.named_layers()[-1][0]                          # the path of the last layer
tuned[head] = fastnet.Linear(tuned[head].in_features, 5)    # a new layer, which is not frozen
frozen = learn(tuned, 3e-3)

fastnet.unfreeze(tuned)
fine = learn(tuned, 2e-4)                                   # a much smaller rate: the features are good already

# %%
ways = {"from scratch": scratch, "frozen features": frozen, "fine-tuned": fine}
rows = [{"epoch": epoch + 1, **{name: way[epoch]["val_accuracy"] for name, way in ways.items()}}
        for epoch in range(EPOCHS)]
ax = plot.curves(rows, *ways)
ax.set_ylabel(f"accuracy on {len(unseen)} other images")
ax.figure.savefig("transfer_learning.png")
print(f"right of the {len(unseen)} other images, after the last epoch:")
for name, way in ways.items():
    print(f"{name:16} {way[-1]['val_accuracy']:.3f}")
