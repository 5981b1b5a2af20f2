"""How exactly to compute, where a backend has a quicker way that rounds more."""
import contextlib
import contextvars

# "exact", "float32" or "bfloat16".
precision = contextvars.ContextVar("precision", default="float32")
# What it was before each of the blocks that are open.
_before = contextvars.ContextVar("_before", default=())


def exact():
    """Within ``with exact():`` every convolution multiplies directly.

    Winograd convolution, the default of the compiled kernels for float32 3x3 and 5x5 kernels with stride 1, computes
    tiles of up to 4 x 4 outputs from the same transformed pixels, and rounds those. So

    - an output is wrong relative to the largest number in its tile, not to itself: beside a pixel of 1e6, outputs of
      size 1 are off by 0.1 to 1, though they do not depend on it. The error was never found above (4 + C / 4) 1.2e-7
      times the sum over the C input channels of the largest absolute value in the tile times the absolute weights; in
      a layer of random numbers it is 1e-6 of the largest output, three times that of direct convolution;
    - an infinity or NaN reaches every output of its tile, not only those whose window holds it;
    - integers do not come out as integers, and a sum of products that are all 0 or more may come out slightly below 0.

    An activation behind it sees what came out; NaN stays NaN through every activation and max-pooling.

    It holds for the thread (or asynchronous task) that says so, and for inference and training alike; of several such
    blocks around a call the innermost counts.

    >>> conv = fastnet.Conv2d(32, 32, 3, padding=1)
    >>> fastnet.explain(conv, (8, 32, 32, 32)).rows[0][2]
    ['Winograd F(4x4, 3x3): 4.0 times fewer multiplications']
    >>> with exact():
    ...     fastnet.explain(conv, (8, 32, 32, 32)).rows[0][2]
    ['direct: exact() is on']
    """
    return _Within("exact")


def bfloat16_products():
    """Within ``with bfloat16_products():`` convolutions, and few others, multiply bfloat16 numbers and sum them as
    float32.

    A bfloat16 number has the range of float32 and 8 significant bits instead of 24. Only what is multiplied is rounded
    to it, and with Winograd's algorithm what the gradient for the bias is summed from (0.002 off): weights, activations
    and gradients stay float32, but for inference as told below. A direct convolution gets a relative error of 0.002,
    Winograd's 0.02 to 0.03; in a net they add up: with Winograd's the gradient of all weights of resnet20 for a batch
    of CIFAR images was 0.2 off, that of its first layer 0.45. Training is noisy anyway: the net of
    examples/cifar10_fast.py became as accurate after five epochs with it as without.

    It pays on processors that multiply bfloat16 numbers quickly:

    - Intel's Xeons from Sapphire Rapids on, under Linux, multiply whole matrices of them (AMX). There convolutions are
      direct, whatever their kernel and stride, of more than 12 channels (1x1 of 16) to 8 or more, and forward of fewer
      channels where the kernel is wide enough, as 3x3 is for 3; all others stay float32. Numbers below 1e-38 count as
      0, and an infinity or NaN reaches the gradients for all weights of its channel. At inference images stay bfloat16
      from one convolution to the next, through max-pooling and concatenation, unless `explain` shows that they go in
      bands: what a convolution reads it rounds anyway, but what is added, as around a shortcut, or averaged is then 0.4
      % off as well (scores of resnet18 0.3 % of the largest, of resnet50 0.4 %). Linear layers of a net that is sealed,
      see `fastnet.seal`, multiply such matrices at inference, but those of more than 4096 features for more samples
      than 524,288 numbers hold;
    - AMD's from Zen 4 on, and Intel's Cooper Lake, multiply twice as many of them as of float32 (AVX512-BF16). There
      Winograd's algorithm is used as ever, and direct convolutions for the gradients of their weights compute as ever,
      as do those that sum over an odd number of channels or over few.

    Elsewhere what comes out is that of the second kind up to rounding, but slower than without. All other Linear layers
    and depthwise convolutions compute as ever everywhere. `explain` tells; `exact` says for whom it holds.

    PyTorch's likeness: ``torch.set_float32_matmul_precision("medium")``.

    >>> with bfloat16_products():
    ...     way, = fastnet.explain(fastnet.Conv2d(32, 32, 3, padding=1), (8, 32, 32, 32)).rows[0][2]
    >>> "of bfloat16" in way
    True
    """
    return _Within("bfloat16")


class _Within(contextlib.ContextDecorator):
    """Computes with one precision in a ``with`` block. It holds no state, so that one object serves any number of
    blocks, one within the other or in several threads at once."""

    def __init__(self, name):
        self._name = name

    def __enter__(self):
        _before.set((*_before.get(), precision.get()))
        precision.set(self._name)

    def __exit__(self, *error):
        *rest, last = _before.get()
        _before.set(tuple(rest))
        precision.set(last)
