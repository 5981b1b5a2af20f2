# %% [markdown]
# # Shortcuts and branches
#
# Two ways to make a net deeper than a plain row of convolutions: residual blocks, which add what they compute to what
# they are given, and inception modules, which look at windows of several sizes side by side. A plain net stands beside
# them. All three train on generated images for the same number of epochs.

# %%
import fastnet
from fastnet import data, models, plot
from fastnet.models.googlenet import inception

IMAGES, EPOCHS = 3000, 4

train, test = data.synthetic(IMAGES, max(IMAGES // 4, 10))
normalize = data.Normalize.per_channel(train.images)
batches = data.DataLoader(train, batch_size=50, normalize=normalize)
test_batches = data.DataLoader(test, batch_size=250, shuffle=False, normalize=normalize)

# %% [markdown]
# ## The nets
#
# The residual net comes by name. The inception net is put together here: a module is a layer like any other. Its four
# branches give 16 + 32 + 16 + 16 channels.

# %%
fastnet.manual_seed(0)
nets = {
    "plain": models.convnet(10, channels=(32, 64, 64), convolutions=1, hidden=(64,)),
    "residual": models.preact_resnet(10, depth=14),
    "inception": fastnet.Sequential(
        fastnet.Conv2d(3, 32, 3, padding=1, bias=False), fastnet.BatchNorm2d(32), fastnet.ReLU(),
        fastnet.MaxPool2d(2),
        inception(32, 16, 16, 32, 8, 16, 16),
        fastnet.MaxPool2d(2),
        inception(80, 32, 32, 64, 8, 32, 32),
        fastnet.AdaptiveAvgPool2d(1), fastnet.Flatten(), fastnet.Linear(160, 10)),
}
print(fastnet.summary(nets["inception"], (1, 3, 32, 32)))

# %% [markdown]
# ## The training


# %%
def learn(net):
    optimizer = fastnet.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    return fastnet.Trainer(net, fastnet.CrossEntropyLoss(), optimizer).fit(batches, EPOCHS, test_batches)


histories = {name: learn(net) for name, net in nets.items()}

# %% [markdown]
# ## What they took, and what they reached

# %%
print(f"{'net':10} {'parameters':>10} {'multiply-adds':>13} {'kept for backward':>17} {'test accuracy':>13}")
for name, net in nets.items():
    table = fastnet.summary(net, (1, 3, 32, 32))
    print(f"{name:10} {table.parameters:10,} {table.multiply_adds:13,} {table.training_memory:15,} B "
          f"{histories[name].rows[-1]['val_accuracy']:13.3f}")

rows = [{"epoch": epoch + 1, **{name: history.rows[epoch]["val_accuracy"] for name, history in histories.items()}}
        for epoch in range(EPOCHS)]
ax = plot.curves(rows, *nets)
ax.set_ylabel("accuracy on test images")
ax.figure.savefig("residual_and_inception.png")
