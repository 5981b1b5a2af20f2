"""A net, a data set and callbacks small enough for every training test."""
import numpy as np

import fastnet
from fastnet.training import Callback


def net(seed=0, backend="cpu"):
    """3 x 8 x 8 images to 4 classes, with one layer of each kind that matters to training."""
    fastnet.manual_seed(seed)
    return fastnet.Sequential(
        fastnet.Conv2d(3, 8, 3, padding=1, bias=False), fastnet.BatchNorm2d(8), fastnet.ReLU(),
        fastnet.Conv2d(8, 8, 3, padding=1), fastnet.ReLU(), fastnet.MaxPool2d(2),
        fastnet.Dropout(0.1), fastnet.Flatten(), fastnet.Linear(128, 4)).to(backend)


def batches(images=20, size=8, seed=0):
    """Noise with labels that have nothing to do with it: learnable by heart alone. The last batch may be smaller."""
    rng = np.random.default_rng(seed)
    x = (rng.integers(-64, 65, (images, 3, 8, 8)) / 32).astype(np.float32)
    labels = np.arange(images) % 4
    return [(x[i:i + size], labels[i:i + size]) for i in range(0, images, size)]


def trainer(model, callbacks=(), lr=0.05, backend="cpu", max_norm=None):
    loss = fastnet.CrossEntropyLoss(backend=backend)
    optimizer = fastnet.SGD(model.parameters(), lr, momentum=0.9, max_norm=max_norm, backend=backend)
    return fastnet.Trainer(model, loss, optimizer, callbacks)


class At(Callback):
    """Does something once, at a hook and a step: ``At("on_step_end", 3, action)``."""

    def __init__(self, hook, step, action):
        def once(trainer):
            if trainer.step == step and not self.done:
                self.done = True
                action(trainer)
        self.done = False
        setattr(self, hook, once)
