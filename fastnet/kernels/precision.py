"""How exactly to compute, where a backend has a quicker way that rounds more."""
import contextlib
import contextvars

# "exact", "float32" or "bfloat16".
precision = contextvars.ContextVar("precision", default="float32")


def exact():
    """Within ``with exact():`` every convolution multiplies directly.

    Winograd convolution, the default of the compiled kernels for float32 3x3 and 5x5 kernels with stride 1, rounds
    about 10 times coarser than direct convolution (relative error 1e-6 to 1e-5), and integers do not come out as
    integers. It holds for the thread (or asynchronous task) that says so, and for inference and training alike; of
    several such blocks around a call the innermost counts.
    """
    return _within("exact")


def bfloat16_products():
    """Within ``with bfloat16_products():`` Winograd convolutions multiply bfloat16 numbers and sum them as float32.

    A bfloat16 number has the range of float32 and 8 significant bits instead of 24. Only what is multiplied is rounded
    to it: weights, activations and gradients stay float32. Results get a relative error of about 0.03 (F(4x4, 3x3)),
    which training nets for images hardly notices. It pays on processors that multiply bfloat16 numbers twice as quickly
    (x86 with AVX512-BF16: AMD from Zen 4 on, Intel Cooper Lake, Sapphire Rapids and later Xeons); elsewhere the numbers
    are the same but come slower than without. What other convolutions and linear layers compute does not change, nor
    does a convolution that sums over an odd number of channels. `explain` tells; `exact` says for whom it holds.

    PyTorch's likeness: ``torch.set_float32_matmul_precision("medium")``.
    """
    return _within("bfloat16")


@contextlib.contextmanager
def _within(name):
    token = precision.set(name)
    try:
        yield
    finally:
        precision.reset(token)
