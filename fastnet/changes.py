"""Noticing changes: layers and parameters say when one of their attributes is assigned."""

# Not counts, of which two threads at once could lose one.
_latest = _latest_but_buffers = object()


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
