"""How exactly to compute, where a backend has a quicker way that rounds more."""
import contextlib
import contextvars

exactly = contextvars.ContextVar("exactly", default=False)


@contextlib.contextmanager
def exact():
    """Within ``with exact():`` every convolution multiplies directly.

    Winograd convolution, the default of the compiled kernels for float32 3x3 and 5x5 kernels with stride 1, rounds
    about 10 times coarser than direct convolution (relative error 1e-6 to 1e-5), and integers do not come out as
    integers. It holds for the thread (or asynchronous task) that says so, and for inference and training alike.
    """
    token = exactly.set(True)
    try:
        yield
    finally:
        exactly.reset(token)
