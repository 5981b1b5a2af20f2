"""Doing the same again: here, by nothing but doing it."""


def record(run, x, most_bytes, after=None):
    """(results, None): `results` is ``run(x)``, and there is no quicker way to do it again."""
    return run(x), None
