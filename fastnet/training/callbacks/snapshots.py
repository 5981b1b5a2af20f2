"""Copies of the net as it was after some epochs."""
import copy

from fastnet import arguments
from fastnet.training.callbacks.base import Callback


class Snapshots(Callback):
    """Keeps a copy of the net after every `every`-th epoch, the last `keep` of them (None: all), as `nets`.

    ``Ensemble(snapshots.nets)`` averages what they say: with a learning rate that falls and begins anew, such as
    `schedules.cosine_restarts` with restarts after `every` epochs, they differ, and an ensemble costs one training.
    Huang et al., Snapshot Ensembles: Train 1, Get M for Free (2017).

    >>> snapshots = Snapshots(every=2)
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [snapshots])
    >>> history = trainer.fit((x, x[:, :1]), 4)
    >>> len(snapshots.nets)
    2
    """

    def __init__(self, every=1, keep=None):
        self.every = arguments.integer(every, "Snapshots: every", 1)
        self.keep = None if keep is None else arguments.integer(keep, "Snapshots: keep", 1)
        self.nets = []

    def on_train_begin(self, trainer):
        if trainer.epoch == 0:
            self.nets = []

    def on_epoch_end(self, trainer):
        if trainer.epoch % self.every == 0:
            net = copy.deepcopy(trainer.net)
            for parameter in net.parameters():
                parameter.grad = None
            self.nets = [*self.nets, net][-(self.keep or len(self.nets) + 1):]

    def __repr__(self):
        return f"Snapshots(every={self.every}, keep={self.keep})"
