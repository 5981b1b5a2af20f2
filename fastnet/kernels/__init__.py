"""The kernels: every heavy operation of the library, once for each backend.

A backend is a module whose functions bear the names in `shapes.OPS`. ``load("cpu")`` gives the compiled one,
``load("naive")`` the same operations in plain NumPy: slow, short, and the definition of what each operation means. A
layer holds such a module as ``self.ops`` and never asks which one it is; an operation that a backend lacks raises
AttributeError.

The contract, for every backend
-------------------------------
`fastnet.kernels.shapes` has one function an operation, with its signature, its formula, and what it takes, gives and
refuses. These hold for all:

* Images are arrays of shape (N, C, H, W): batch, channels, height, width. Results are channels-last in memory (an
  (N, H, W, C) buffer seen through ``transpose(0, 3, 1, 2)``); inputs may have any layout.
* float32 and float64 are computed as they come, every other real dtype is converted to float32 on entry. Operands of
  one call take the dtype of the first.
* No operation writes into its arguments, but for those named `..._update`, whose purpose it is.
* Every argument is checked before anything is computed; what does not fit raises ValueError or TypeError.
* Letters in formulas: N batch, C in-channels, K out-channels, H W input, P Q output, R S kernel; dy is the gradient
  that arrives, dx dw db are those that leave.
* ``padding`` is four integers (top, bottom, left, right); ``stride``, ``dilation`` and ``kernel_size`` are pairs
  (vertical, horizontal).

One question more is answered by every backend:

    conv2d_algorithm(direction, dtype, x_shape, w_shape, stride, padding, dilation, groups) -> (name, reason), two texts
        what computes the "forward", "backward_input" or "backward_weight" direction, and why

and every backend has ``release()``, which gives back the memory that it keeps for later results, and
``empty_cache()``, which gives back whatever it keeps and does not use.

A backend may take further keyword arguments, behind those of the contract, and have further functions: forms of several
operations in one. Only the rules that rewrite a list of operations know of these.
"""
import importlib
import sys

from fastnet import arguments
from fastnet.kernels.precision import bfloat16_products, exact
from fastnet.kernels.shapes import OPS

BACKENDS = ("naive", "cpu")
_loaded = {}

__all__ = ["BACKENDS", "OPS", "bfloat16_products", "collect", "empty_cache", "exact", "load"]


def load(backend):
    """The module that implements the operations: ``"cpu"`` (compiled by Numba) or ``"naive"`` (plain NumPy).

    >>> load("naive").activation_forward(np.float32([-1, 2]), "relu")
    array([0., 2.], dtype=float32)
    """
    module = _loaded.get(backend) if type(backend) is str else None
    if module is None:
        backend = arguments.choice(backend, BACKENDS, "backend")
        module = _loaded[backend] = importlib.import_module(f"{__name__}.{backend}")
    return module


def empty_cache():
    """Give back to the system all memory that backends keep for later and do not use now: buffers of results that are
    gone, what lies between the layers of nets that are not at work, scratch memory, tables. It will be taken anew when
    it is needed. What living arrays and nets hold stays.

    >>> y = fastnet.ReLU()(np.float32([-1, 2]))
    >>> empty_cache()
    >>> y
    array([0., 2.], dtype=float32)
    """
    for backend in BACKENDS:
        module = sys.modules.get(f"{__name__}.{backend}")   # one that was never loaded keeps nothing
        if module is not None:
            module.empty_cache()


def collect(*modules, extras=()):
    """{name: function} for every operation of the contract, and for the names in `extras`, out of a backend's modules.

    A backend's ``__init__`` is ``globals().update(collect(module, ...))``. ImportError names what no module has.

    >>> list(collect(load("naive"))) == list(OPS)
    True
    """
    found = {name: getattr(module, name) for module in modules for name in (*OPS, *extras) if hasattr(module, name)}
    missing = [name for name in (*OPS, *extras) if name not in found]
    if missing:
        places = ", ".join(module.__name__ for module in modules)
        raise ImportError(f"these operations are in none of {places}: {', '.join(missing)}")
    return found
