"""Packed weights: what inference computes from a net's weights once, kept until the weights change.

Arrays do not tell when somebody writes into them, so every pass looks: one hash over all arrays that were packed
(`watcher` in `fastnet.kernels`), a small part of the time that computing with them takes. One byte that changed, and
all is packed anew.
"""
from operator import is_

import numpy as np

from fastnet.replays import Inference


class Store:
    """The packed weights of one net, shared by its plans and by all threads that run it."""

    def __init__(self):
        self._packed = None

    def current(self, ops):
        """The Packed to use for a pass that computes with `ops`: the last one, or an empty one if anything changed."""
        packed = self._packed
        if packed is None or packed.ops is not ops or packed.outdated():
            packed = self._packed = Packed(ops)
        return packed


class Packed:
    """What layers packed since the weights changed last."""

    def __init__(self, ops):
        self.ops = ops
        self._watcher = ops.watcher()
        self._entries = {}
        self._replaced = False
        self.replays = Inference()

    def outdated(self):
        """Whether any array that something was packed from has changed, or was replaced by another."""
        return self._replaced or self._watcher.changed()

    def get(self, owner, sources, make):
        """``make()``, kept for `owner` as long as `sources`, whatever it is made from, are these objects."""
        entry = self._entries.get(owner)
        if entry is not None:
            if all(map(is_, entry[0], sources)):
                return entry[1]
            self._replaced = True  # and so the next pass starts anew, and the old arrays are let go
        self._watcher.add([source for source in sources if isinstance(source, np.ndarray)])
        value = make()
        self._entries[owner] = sources, value
        return value
