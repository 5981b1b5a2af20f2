"""Noticing changes: layers and parameters say when one of their attributes is assigned."""
import contextlib
import threading

# Not counts, of which two threads at once could lose one.
_latest = _latest_but_buffers = object()


class _Here(threading.local):
    """What each thread has of its own."""

    gradients = None    # where gradients are collected
    quiet = False       # whether running statistics stay as they are, whoever assigns them


here = _Here()


def note(buffer=False):
    """Something was assigned; `buffer`: running statistics, which every training pass moves."""
    global _latest, _latest_but_buffers
    _latest = object()
    if not buffer:
        _latest_but_buffers = _latest


def latest(buffers=True):
    """An object that stays the same as long as nothing is assigned to any layer or parameter; with `buffers` false,
    nothing but running statistics."""
    return _latest if buffers else _latest_but_buffers


@contextlib.contextmanager
def gradients():
    """A dictionary of the gradients that this thread assigns to parameters within the `with` block, in place of
    assigning them: they are assigned together, when the whole backward pass has come off."""
    before, here.gradients = here.gradients, {}
    try:
        yield here.gradients
    finally:
        here.gradients = before


@contextlib.contextmanager
def quiet():
    """Within the `with` block running statistics stay as they are: a forward pass is done again."""
    before, here.quiet = here.quiet, True
    try:
        yield
    finally:
        here.quiet = before
