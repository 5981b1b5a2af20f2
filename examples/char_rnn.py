# %% [markdown]
# # A text, letter by letter
#
# A recurrent net reads the source of a module of Python's library and learns which letter comes next. Then it writes
# on its own.

# %%
import argparse
from pathlib import Path

import numpy as np

import fastnet
from fastnet import models, plot

STEPS, LENGTH = 400, 64

text = Path(argparse.__file__).read_text(encoding="utf-8")
letters = sorted(set(text))
numbers = np.array([letters.index(letter) for letter in text])
print(f"{len(text):,} letters, {len(letters)} of them different")

# %% [markdown]
# ## The training
#
# x are pieces of the text, and the targets the same pieces one letter on. A net that knows nothing has a loss of ln of
# the number of letters; gradients of recurrent nets are clipped.

# %%
fastnet.manual_seed(0)
net = models.char_rnn(len(letters), hidden_size=96, num_layers=1)
print(fastnet.summary(net, (1, LENGTH)))
loss, optimizer = fastnet.CrossEntropyLoss(), fastnet.Adam(net.parameters(), 5e-3)
rng, rows = np.random.default_rng(0), []
for step in range(STEPS):
    starts = rng.integers(0, len(numbers) - LENGTH, 32)
    pieces = numbers[starts[:, None] + np.arange(LENGTH + 1)]
    value, dy = loss(net.forward(pieces[:, :-1], training=True), pieces[:, 1:])
    net.backward(dy, need_dx=False)
    fastnet.optim.clip_grad_norm(net.parameters(), 1.0)
    optimizer.step()
    rows.append({"epoch": step, "loss": value})
    if step % 100 == 0 or step == STEPS - 1:
        print(f"step {step}: loss {value:.3f}, where chance is {np.log(len(letters)):.3f}")


# %% [markdown]
# ## What it writes
#
# Each letter is drawn by the probabilities of the scores; a temperature below 1 makes likely ones likelier.


# %%
def write(start, count, temperature=0.5):
    """`start` and `count` letters more."""
    known = [letters.index(letter) for letter in start]
    for _ in range(count):
        scores = net(np.array([known[-LENGTH:]]))[0, :, -1].astype(np.float64) / temperature
        chances = np.exp(scores - scores.max())
        known.append(rng.choice(len(letters), p=chances / chances.sum()))
    return "".join(letters[number] for number in known)


written = write("    def ", min(STEPS, 300))
print(written)

# %%
ax = plot.curves(rows, "loss")
ax.set_xlabel("step")
ax.figure.savefig("char_rnn.png")
