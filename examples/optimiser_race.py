# %% [markdown]
# # Optimisers, side by side
#
# First on functions of two numbers, where their ways can be drawn: a long valley and a saddle. Then on a net.

# %%
import numpy as np
from matplotlib import pyplot

import fastnet
from fastnet import data, plot

WAY, IMAGES, EPOCHS = 80, 1500, 4
RACERS = {
    "SGD": lambda params, lr: fastnet.SGD(params, lr),
    "momentum": lambda params, lr: fastnet.SGD(params, lr, momentum=0.9),
    "Nesterov": lambda params, lr: fastnet.SGD(params, lr, momentum=0.9, nesterov=True),
    "AdaGrad": lambda params, lr: fastnet.Adagrad(params, 20 * lr),
    "RMSProp": lambda params, lr: fastnet.RMSprop(params, 2 * lr),
    "Adam": lambda params, lr: fastnet.Adam(params, 5 * lr),
}

# %% [markdown]
# ## Ways over contours


# %%
def way(make, slope, start, lr):
    """The places that an optimiser goes through, (WAY + 1, 2)."""
    place = fastnet.Parameter(np.array(start, np.float64))
    optimizer, places = make([place], lr), [place.value.copy()]
    for _ in range(WAY):
        place.grad = np.array(slope(*place.value))
        optimizer.step()
        places.append(place.value.copy())
    return np.array(places)


figure, (valley, saddle) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
ways = {name: way(make, lambda x, y: (x, 20 * y), (-4, 1.5), 0.02) for name, make in RACERS.items()}
plot.paths(lambda x, y: x**2 / 2 + 10 * y**2, ways, ax=valley, bounds=(-5, 2, -2, 2))
valley.set_title("a valley, x^2 / 2 + 10 y^2")
ways = {name: way(make, lambda x, y: (2 * x, -2 * y), (-1.2, 1e-3), 0.02) for name, make in RACERS.items()}
plot.paths(lambda x, y: x**2 - y**2, ways, ax=saddle, bounds=(-1.6, 1.6, -1.2, 1.2))
saddle.set_title("a saddle, x^2 - y^2")
figure.savefig("optimiser_ways.png")

# %% [markdown]
# ## A net
# The same first weights for all, and the same order of the images.

# %%
train, test = data.synthetic(IMAGES, IMAGES // 4)
normalize = data.Normalize.per_channel(train.images)
rates = {"SGD": 0.1, "momentum": 0.02, "Nesterov": 0.02, "AdaGrad": 5e-4, "RMSProp": 5e-4, "Adam": 4e-4}
histories = {}
for name, make in RACERS.items():
    fastnet.manual_seed(0)
    net = fastnet.models.lenet5(len(train.classes))
    batches = data.DataLoader(train, batch_size=64, normalize=normalize)
    held_out = data.DataLoader(test, batch_size=256, shuffle=False, normalize=normalize)
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), make(net.parameters(), rates[name]))
    histories[name] = trainer.fit(batches, EPOCHS, validation=held_out)

# %%
rows = [{"epoch": epoch + 1, **{name: history[epoch]["loss"] for name, history in histories.items()}}
        for epoch in range(EPOCHS)]
ax = plot.curves(rows, *histories)
ax.set_ylabel("training loss")
ax.figure.savefig("optimiser_race.png")
print(f"{'':10}  loss    val accuracy")
for name, history in histories.items():
    print(f"{name:10}  {history[-1]['loss']:.4f}  {history[-1]['val_accuracy']:.3f}")
