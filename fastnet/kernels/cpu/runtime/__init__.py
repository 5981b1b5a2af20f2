"""What every kernel needs to run.

`jit` compiles and launches, `cache` keeps machine code on disk, `array` lends memory, `replay` runs launches again,
`watch` tells whether arrays have changed, `atomic` lets threads count together.
"""
from fastnet.kernels.cpu.runtime import array, kept, record

__all__ = ["empty_cache"]


def empty_cache():
    """Return to the system what memory is kept for later and not in use now."""
    record.clear_arenas()
    array.release_scratch()
    array.release()
    kept.forget()
