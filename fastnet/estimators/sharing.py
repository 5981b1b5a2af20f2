"""Who trains at the same time in this process shares its threads."""
import threading
from contextlib import contextmanager

import numba

from fastnet.training import Callback

_lock = threading.Lock()
_running = 0


class ShareThreads(Callback):
    """Before each epoch lets the fits that run in this process have an equal part of the threads each.

    Two fits on all threads each would wait for one another at every kernel. Results are the same bits for any number
    of threads.
    """

    def __init__(self, most):
        self.most = most

    def on_epoch_begin(self, trainer):
        share = max(1, self.most // max(1, _running))
        if share != numba.get_num_threads():
            numba.set_num_threads(share)


@contextmanager
def shared_threads():
    """Within the block this thread counts as one that trains; gives the callback that keeps its share."""
    global _running
    before = numba.get_num_threads()
    with _lock:
        _running += 1
    try:
        share = ShareThreads(before)
        share.on_epoch_begin(None)
        yield share
    finally:
        with _lock:
            _running -= 1
        numba.set_num_threads(before)
