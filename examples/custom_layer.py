# %% [markdown]
# # A layer of your own, with a kernel of your own
#
# Snake, y = x + sin(a x)^2 / a, with a learnt for each feature: an activation for what repeats itself (Ziyin et al.,
# Neural Networks Fail to Learn Periodic Functions and How to Fix It, 2020, equation 3). Its loops are compiled by
# Numba, its gradients are checked, and it is trained.

# %%
import numpy as np
from numba import njit

import fastnet
from fastnet import plot

STEPS = 600

# %% [markdown]
# ## Two kernels
# A row of x is a sample. Each sample owns its rows of y, dx and da, which is summed afterwards: so threads never meet
# where `njit(parallel=True)` and `prange` share out the loop over n, which pays for large batches.

# %%
@njit
def snake(x, a, y):
    for n in range(x.shape[0]):
        for f in range(x.shape[1]):
            y[n, f] = x[n, f] + np.sin(a[f] * x[n, f]) ** 2 / a[f]


@njit
def snake_backward(dy, x, a, dx, da):
    for n in range(x.shape[0]):
        for f in range(x.shape[1]):
            sine, double = np.sin(a[f] * x[n, f]), np.sin(2 * a[f] * x[n, f])
            dx[n, f] = dy[n, f] * (1 + double)
            da[n, f] = dy[n, f] * (x[n, f] * double / a[f] - (sine / a[f]) ** 2)


# %% [markdown]
# ## A layer

# %%
class Snake(fastnet.Layer):
    """y = x + sin(a x)^2 / a, with one learnt a for each of F features; x is (N, F)."""

    def __init__(self, features):
        self.a = fastnet.Parameter(np.ones(features, np.float32))

    def forward(self, x, training=False):
        y = np.empty_like(x)
        snake(x, self.a.value, y)
        if training:
            self.saved = (x,)
        return y

    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        dx, da = np.empty_like(x), np.empty_like(x)
        snake_backward(dy, x, self.a.value, dx, da)
        self.a.grad = da.sum(axis=0)
        return dx


# %% [markdown]
# ## Is the gradient right?
# `gradient_check` compares backward with differences of the loss, in float64, for every parameter and for x.

# %%
rng = np.random.default_rng(0)
fastnet.manual_seed(0)
net = fastnet.Sequential(fastnet.Linear(1, 32), Snake(32), fastnet.Linear(32, 1))
x = rng.uniform(-2, 2, (8, 1))
found = fastnet.gradient_check(net, fastnet.MSELoss(), x, np.sin(3 * x))
print(found)
assert found.passed

# %% [markdown]
# ## Does it learn?
# The net sees a sine on a slope from -2 to 2, and is asked how it goes on.

# %%
x = rng.uniform(-2, 2, (256, 1)).astype(np.float32)
optimizer = fastnet.Adam(net.parameters(), lr=3e-3)
trainer = fastnet.Trainer(net, fastnet.MSELoss(), optimizer)
history = trainer.fit([(x, np.sin(3 * x) + x)], STEPS)
print(f"loss {history[0]['loss']:.3f} to {history[-1]['loss']:.5f}")

# %%
from matplotlib import pyplot  # noqa: E402

line = np.linspace(-3, 3, 300, dtype=np.float32)[:, None]
figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(line, np.sin(3 * line) + line, label="sin(3x) + x")
left.plot(line, net(line), label="the net")
left.axvspan(-2, 2, alpha=0.1, label="what it has seen")
left.legend()
plot.curves(history, "loss", ax=right).set_yscale("log")
figure.savefig("custom_layer.png")
