# %% [markdown]
# # A two-layer net, by hand and by fastnet
#
# Points of three spirals are told apart by a net with one hidden layer. It is written twice: in plain NumPy, formula by
# formula, and with fastnet. Both begin with the same weights, see the same samples, and reach the same numbers.

# %%
import numpy as np

import fastnet
from fastnet import plot

HIDDEN, STEPS, RATE, DECAY = 100, 600, 0.3, 5e-4

# %% [markdown]
# ## Three spirals

# %%
rng = np.random.default_rng(0)
turn = np.linspace(0, 1, 100)
x = np.concatenate([np.stack([turn * np.sin(angle), turn * np.cos(angle)], axis=1)
                    for arm in range(3) for angle in [4 * (turn + arm) + 0.2 * rng.standard_normal(100)]])
y = np.repeat(np.arange(3), 100)
w1, b1 = 0.5 * rng.standard_normal((HIDDEN, 2)), np.zeros(HIDDEN)
w2, b2 = 0.05 * rng.standard_normal((3, HIDDEN)), np.zeros(3)

# %% [markdown]
# ## The same net, with fastnet
# It takes copies of the weights. L2(strength) adds strength |w|^2, whose gradient is 2 strength w.

# %%
net = fastnet.Sequential(fastnet.Linear(2, HIDDEN), fastnet.ReLU(), fastnet.Linear(HIDDEN, 3)).astype("float64")
net.load_state_dict({"0.weight": w1, "0.bias": b1, "2.weight": w2, "2.bias": b2})
loss, penalty = fastnet.CrossEntropyLoss(), fastnet.L2(DECAY)
optimizer = fastnet.SGD(net.parameters(), lr=RATE)

library = []
for _ in range(STEPS):
    value, gradient = loss(net.forward(x, training=True), y)
    net.backward(gradient, need_dx=False)
    library.append(value + penalty.add(net))
    optimizer.step()

# %% [markdown]
# ## By hand

# %%
by_hand = []
for _ in range(STEPS):
    hidden = np.maximum(x @ w1.T + b1, 0)                       # forward
    scores = hidden @ w2.T + b2
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    share = powers / powers.sum(axis=1, keepdims=True)          # softmax
    data_loss = -np.log(share[np.arange(len(y)), y]).mean()
    by_hand.append(data_loss + DECAY * ((w1**2).sum() + (w2**2).sum()))

    dscores = share.copy()                                      # backward
    dscores[np.arange(len(y)), y] -= 1
    dscores /= len(y)
    dw2, db2 = dscores.T @ hidden + 2 * DECAY * w2, dscores.sum(axis=0)
    dhidden = dscores @ w2 * (hidden > 0)
    dw1, db1 = dhidden.T @ x + 2 * DECAY * w1, dhidden.sum(axis=0)

    w1, b1, w2, b2 = w1 - RATE * dw1, b1 - RATE * db1, w2 - RATE * dw2, b2 - RATE * db2   # update

# %% [markdown]
# ## Equal numbers

# %%
difference = np.max(np.abs(np.subtract(by_hand, library)) / by_hand)
accuracy = (net(x).argmax(axis=1) == y).mean()
print(f"first loss {by_hand[0]:.4f} (ln 3 = {np.log(3):.4f}), last {by_hand[-1]:.4f} by hand, {library[-1]:.4f} by "
      f"fastnet; largest relative difference of all {STEPS} steps: {difference:.1e}; accuracy {accuracy:.3f}")

# %%
ax = plot.decision_regions(net, x, y)
ax.figure.savefig("two_layer_net.png")
