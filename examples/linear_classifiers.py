# %% [markdown]
# # Linear classifiers, by hand and by library
#
# A linear classifier gives an image x a score for each class, x w^T + b, and the largest wins. Two losses are usual:
# that of the support vector machine, which wants the right score to be 1 above all others, and cross-entropy, which
# reads the scores as probabilities. Here both are written in NumPy, trained by steps against the gradient, and compared
# with `SVMClassifier` and `SoftmaxClassifier`. The images are CIFAR-10 where `FASTNET_DATA` names their folder, else
# generated ones.

# %%
import os

import numpy as np

from fastnet import data, plot
from fastnet.estimators import LeastSquaresClassifier, SoftmaxClassifier, SVMClassifier

TRAIN, TEST, STEPS, EPOCHS = 2_000, 1_000, 400, 20
sets = data.cifar10() if "FASTNET_DATA" in os.environ else data.synthetic(TRAIN, TEST)
train, test = sets[0][:TRAIN], sets[1][:TEST]
print(f"{len(train):,} images to train on, {len(test):,} to test: {train.source}")

mean = train.images.reshape(len(train), -1).mean(axis=0, dtype=np.float32)
x, x_test = ((part.images.reshape(len(part), -1) - mean) / 255 for part in (train, test))
y, y_test = train.labels, test.labels

# %% [markdown]
# ## By hand
#
# `scores[i, c]` is the score of image i for class c. Both functions give the mean loss and its gradient for the scores.


# %%
def svm_loss(scores, y):
    """The sum of max(0, 1 - right score + score) over all wrong classes."""
    rows = np.arange(len(y))
    margins = np.maximum(0, 1 - scores[rows, y][:, None] + scores)
    margins[rows, y] = 0
    gradient = (margins > 0).astype(np.float32)
    gradient[rows, y] = -gradient.sum(axis=1)
    return margins.sum() / len(y), gradient / len(y)


def softmax_loss(scores, y):
    """-log of the probability of the right class."""
    rows = np.arange(len(y))
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    value = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return value, p / len(y)


def fit_by_hand(loss, steps=STEPS, lr=0.02, batch=200, strength=3e-2):
    """Weights (10, 3072) and biases (10,) after so many steps of gradient descent; `strength` times the sum of squared
    weights is added to the loss."""
    rng = np.random.default_rng(0)
    w, b = np.zeros((10, x.shape[1]), np.float32), np.zeros(10, np.float32)
    for step in range(steps):
        chosen = rng.choice(len(x), min(batch, len(x)), replace=False)
        value, dscores = loss(x[chosen] @ w.T + b, y[chosen])
        w -= lr * (dscores.T @ x[chosen] + 2 * strength * w)
        b -= lr * dscores.sum(axis=0)
        if step % 100 == 0:
            print(f"  step {step:3}: loss {value:.3f}")
    return w, b


# %% [markdown]
# The first loss is known beforehand: all scores are 0, so it is 9 for the SVM and ln 10 = 2.303 for the softmax.

# %%
by_hand = {}
for name, loss, lr in (("SVM", svm_loss, 0.005), ("softmax", softmax_loss, 0.02)):
    print(name)
    w, b = by_hand[name] = fit_by_hand(loss, lr=lr)
    print(f"{name} by hand: accuracy {((x_test @ w.T + b).argmax(axis=1) == y_test).mean():.3f}")

# %% [markdown]
# ## By library
#
# `C` is 1 over 2 times the strength times the number of images. Least squares has a solution in closed form.

# %%
C = 1 / (2 * 3e-2 * len(x))
classifiers = {"SVM": SVMClassifier(C, max_iter=EPOCHS, learning_rate_init=1e-3, random_state=0),
               "softmax": SoftmaxClassifier(C), "least squares": LeastSquaresClassifier(alpha=1000)}
for name, classifier in classifiers.items():
    classifier.fit(x, y)
    print(f"{name} by library: accuracy {classifier.score(x_test, y_test):.3f}")

# %% [markdown]
# ## Templates
#
# Each row of w is a picture of what its class should look like: the score is how well an image matches it.

# %%
try:
    from matplotlib import pyplot
except ImportError:
    print('for the pictures: pip install "fastnet-numba[plot]"')
else:
    figure, axes = pyplot.subplots(2, 2, layout="constrained", figsize=(10, 5.5))
    for ax, name in zip(axes, by_hand, strict=True):
        learnt = classifiers[name].templates((3, 32, 32)).reshape(10, -1)
        for place, by, w in zip(ax, ("hand", "library"), (by_hand[name][0], learnt), strict=True):
            plot.templates(w, (3, 32, 32), train.classes, place).set_title(f"{name}, by {by}")
    figure.savefig("linear_classifiers.png")
