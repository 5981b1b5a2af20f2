# %% [markdown]
# # The basic layers by hand
#
# Each layer twice: as a few lines of NumPy, forward and backward, and as the library has it. The table at the end shows
# by how much the two differ: by rounding.

# %%
import numpy as np

import fastnet

rng = np.random.default_rng(0)
rows = []


def compare(layer, x, y, dx, **gradients):
    """Note the largest differences between a layer's numbers, for the gradient 1 / (1 + y^2), and those by hand."""
    layer.forward(x, training=True)
    differences = [np.abs(layer.forward(x, training=True) - y).max()]
    differences.append(np.abs(layer.backward(upstream(y)) - dx).max())
    differences += [np.abs(getattr(layer, name).grad - value).max() for name, value in gradients.items()]
    rows.append((type(layer).__name__, *differences))


def upstream(y):
    """A gradient that arrives from above."""
    return 1 / (1 + y**2)


def double(layer):
    """The layer in float64, so that only rounding is left."""
    return layer.astype("float64")


# %% [markdown]
# ## Linear: y = x w^T + b

# %%
layer, x = double(fastnet.Linear(5, 3)), rng.standard_normal((4, 5))
w, b = layer.weight.value, layer.bias.value
y = x @ w.T + b
dy = upstream(y)
compare(layer, x, y, dy @ w, weight=dy.T @ x, bias=dy.sum(axis=0))

# %% [markdown]
# ## ReLU: y = max(x, 0), and the gradient passes where x > 0

# %%
x = rng.standard_normal((4, 5))
y = np.maximum(x, 0)
compare(fastnet.ReLU(), x, y, upstream(y) * (x > 0))

# %% [markdown]
# ## Sigmoid and tanh: the derivatives are y (1 - y) and 1 - y^2

# %%
y = 1 / (1 + np.exp(-x))
compare(fastnet.Sigmoid(), x, y, upstream(y) * y * (1 - y))
y = np.tanh(x)
compare(fastnet.Tanh(), x, y, upstream(y) * (1 - y**2))

# %% [markdown]
# ## Convolution: each output is a sum over a window of the padded image

# %%
layer, x = double(fastnet.Conv2d(2, 3, 3, stride=2, padding=1)), rng.standard_normal((2, 2, 7, 7))
w, b = layer.weight.value, layer.bias.value
padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
y = np.zeros((2, 3, 4, 4))
for p, q in np.ndindex(4, 4):
    window = padded[:, :, 2 * p:2 * p + 3, 2 * q:2 * q + 3]
    y[:, :, p, q] = np.einsum("ncrs,kcrs->nk", window, w) + b
dy, dw, dpadded = upstream(y), np.zeros_like(w), np.zeros_like(padded)
for p, q in np.ndindex(4, 4):
    rows_, columns = slice(2 * p, 2 * p + 3), slice(2 * q, 2 * q + 3)
    dw += np.einsum("nk,ncrs->kcrs", dy[:, :, p, q], padded[:, :, rows_, columns])
    dpadded[:, :, rows_, columns] += np.einsum("nk,kcrs->ncrs", dy[:, :, p, q], w)
compare(layer, x, y, dpadded[:, :, 1:-1, 1:-1], weight=dw, bias=dy.sum(axis=(0, 2, 3)))

# %% [markdown]
# ## Max-pooling: the gradient goes to where the largest stood

# %%
x = rng.standard_normal((2, 3, 6, 6))
windows = x.reshape(2, 3, 3, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 3, 3, 4)
y, largest = windows.max(axis=-1), windows.argmax(axis=-1)
dwindows = upstream(y)[..., None] * (np.arange(4) == largest[..., None])
dx = dwindows.reshape(2, 3, 3, 3, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(x.shape)
compare(fastnet.MaxPool2d(2), x, y, dx)

# %% [markdown]
# ## Batch norm: mean and deviation of each feature over the batch; they depend on x too

# %%
layer, x = double(fastnet.BatchNorm1d(3)), rng.standard_normal((8, 3))
layer.weight.value = rng.standard_normal(3)
gamma, deviation = layer.weight.value, np.sqrt(x.var(axis=0) + layer.eps)
h = (x - x.mean(axis=0)) / deviation
y = gamma * h
dy = upstream(y)
dh = dy * gamma
dx = (dh - dh.mean(axis=0) - h * (dh * h).mean(axis=0)) / deviation
compare(layer, x, y, dx, weight=(dy * h).sum(axis=0), bias=dy.sum(axis=0))

# %% [markdown]
# ## Dropout: what is kept is divided by its probability
# The mask is the layer's own: it is read off what it does to ones. A copy draws the same.

# %%
import copy  # noqa: E402

layer, x = fastnet.Dropout(0.4), rng.standard_normal((4, 5))
twin = copy.deepcopy(layer)
twin.forward(x, training=True)
mask = twin.forward(np.ones((4, 5)), training=True)     # the second draw, as `compare` makes two
y = x * mask
compare(layer, x, y, upstream(y) * mask)

# %% [markdown]
# ## Softmax and cross-entropy: the gradient is probabilities minus one at the class, over N

# %%
scores, labels = rng.standard_normal((6, 4)), np.arange(6) % 4
share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
wanted = -np.log(share[np.arange(6), labels]).mean(), (share - np.eye(4)[labels]) / 6
value, gradient = fastnet.CrossEntropyLoss()(scores, labels)
rows.append(("CrossEntropyLoss", abs(value - wanted[0]), np.abs(gradient - wanted[1]).max()))

# %%
print(f"{'':18}{'y':>9}{'dx':>9}{'dw':>9}{'db':>9}")
for name, *differences in rows:
    print(f"{name:18}" + "".join(f"{difference:9.0e}" for difference in differences))
assert max(max(differences) for _, *differences in rows) < 1e-12
