"""Noticing changes: layers and parameters say when one of their attributes is assigned."""

_latest = object()


def note():
    """Something was assigned."""
    global _latest
    _latest = object()  # not a count, of which two threads at once could lose one


def latest():
    """An object that stays the same as long as nothing is assigned to any layer or parameter."""
    return _latest
