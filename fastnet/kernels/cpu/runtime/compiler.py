"""Compiling: how freely the compiler may round, and where the machine code of a kernel starts.

Numba compiles a function for the types of its arguments. What is compiled is kept on disk, see `cache`, and called by
its address: so one loop in machine code can run any kernel, see `launches`, and one kernel any activation.
"""
import contextlib
import functools
import gc
import hashlib

import numba
import numpy as np
from numba import config, types
from numba.core import cgutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from fastnet.kernels.cpu.runtime import cache, frontend
from fastnet.kernels.cpu.runtime.pipeline import Library, Pipeline

# No "nnan" or "ninf": NaN and Inf keep their meaning. No "reassoc", `regrouped` apart: sums keep the order they are
# written in.
# No Numba runtime: kernels make no arrays, and counting references to those they pass on takes locked instructions.
# No entrance for C, which nobody uses.
_FLAGS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}, "_nrt": False,
          "no_cfunc_wrapper": True}

_addresses = {}     # (function, kinds of its arguments) -> where its machine code starts
_attached = set()   # functions that have a cache on disk
_functions = {}     # what stands for addresses where nothing is compiled: number -> function


class _Inside(CPUDispatcher):
    """A compiled function that compiled code calls, by its name or by its address. The entrance from Python, which
    takes the arguments out of Python's objects, is a sixth of the work of compiling, so it has none. Where Python calls
    it nevertheless, as tests do, it is compiled once more, with one."""

    def add_overload(self, result):
        """Without a word to what looks at the arguments of calls from Python."""
        self.overloads[tuple(result.signature.args)] = result

    def __call__(self, *args):
        return self._from_python(*args)

    @functools.cached_property
    def _from_python(self):
        return numba.jit(**self.targetoptions | {"no_cpython_wrapper": False})(self.py_func)


def made_for(*what):
    """Mark a function that is made anew for each of some numbers or names, and tells by its own name which: machine
    code finds functions by their names and the types of their arguments, and what two processes have kept on disk may
    meet in a third. So of two functions of one name the wrong one would be called."""
    def rename(function):
        function.__qualname__ = "_".join([function.__name__, *map(str, what)])
        return function

    return rename


def hash_of(what):
    """A name for what a function is made for, a tuple, the same in every process."""
    return f"{len(what)}_{hashlib.sha256(repr(what).encode()).hexdigest()[:12]}"


def _inside(function, **flags):
    if function.__closure__ and "<locals>" in function.__qualname__ and "forceinline" not in flags:
        raise TypeError(f"{function.__module__}: {function.__qualname__} reads names of the function around it, which "
                        "others of its kind may not share: say by `made_for` what it is made for, or use `inlined`")
    if config.DISABLE_JIT:
        return function
    return _Inside(function, targetoptions={"nopython": True, "no_cpython_wrapper": True} | _FLAGS | flags,
                   pipeline_class=Pipeline)


def jit(function):
    """Compile a function for use inside kernels, or as a kernel's body."""
    return _inside(function)


def inlined(function):
    """`jit` for what kernels call for every tile or pixel: its code becomes part of its caller's. A call would hand
    over each array as seven machine words."""
    return _inside(function, forceinline=True)


def regrouped(function):
    """`jit` with the liberty to add up in any order: a sum over a loop becomes several, side by side in vectors. Which,
    is the compiler's choice, and the same at each call."""
    return _inside(function, fastmath=_FLAGS["fastmath"] | {"reassoc"})


def literal(function):
    """`jit` without any liberty of rounding: a product and a sum are rounded one by one, as NumPy does, unless it is
    `simd.fma` that is called. So from wherever it is called, the same numbers give the same bits."""
    return _inside(function, fastmath=False)


def entrance(function, **flags):
    """Compile a function for calls from Python."""
    return numba.njit(**_FLAGS | flags)(function)


def loops(function):
    """(serial, parallel): a function with a prange compiled to run it in this thread, and in several; for calls from
    Python."""
    return entrance(function), numba.njit(**_FLAGS | {"_nrt": True}, parallel=True)(function)


def address(body, args):
    """Where the machine code of a kernel for arguments of these types starts; it is compiled first where it is new. In
    front of these arguments stand two integers: (block, slot) for kernels, (start, stop) for activations."""
    key = _key(body, args)
    place = _addresses.get(key)
    if place is None:
        with _compiled(body, args) as result:
            library = result.library
        if isinstance(library, Library):
            library.wait()      # where others can compile meanwhile
        with _compiled(body, args) as result:
            place = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
        _addresses[key] = place
    return place


def begin(body, args):
    """Have what `address` will want compiled by another thread, as far as that can be. Returns the Library, which tells
    when it is `ready`; None where there is nothing to wait for."""
    if _key(body, args) in _addresses:
        return None
    with _compiled(body, args) as result:
        if not isinstance(result.library, Library):     # it was kept on disk
            return None
        result.library.begin()
        return result.library


def _key(body, args):
    return body, *map(_kind, args)


@contextlib.contextmanager
def _compiled(body, args):
    """What Numba makes of a kernel for arguments of these types: LLVM's code, or machine code that was kept."""
    if body not in _attached:
        _attached.add(cache.attach(body))
    signature = (types.int64, types.int64, *map(numba.typeof, args))
    with global_compiler_lock, _no_collector(), frontend.meanings_kept():   # a second thread finds it done
        try:
            body.compile(signature)
            yield body.overloads[signature]
        except BaseException:   # an interrupt may have left half of it
            body.overloads.pop(signature, None)
            raise


@contextlib.contextmanager
def _no_collector():
    """Nobody looks for garbage meanwhile, in any thread. Compiling makes millions of small objects, and few of them in
    circles: to look through them again and again took a tenth of Python's part of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _kind(arg):
    """What of an argument machine code is compiled for; a NamedTuple may say so itself."""
    if type(arg) is np.ndarray:
        return arg.dtype, arg.ndim
    if isinstance(arg, tuple):
        return arg.kind if hasattr(arg, "kind") else (type(arg), *map(_kind, arg))
    return type(arg)


def begin_function(function, args):
    """`begin` for what `function_address` will want."""
    return None if config.DISABLE_JIT else begin(function, args)


def function_address(function, args):
    """What `call` finds a compiled function (start, stop, *args) by; `args` are examples."""
    if config.DISABLE_JIT:
        _functions[id(function)] = function
        return id(function)
    return address(function, args)


@intrinsic
def _call(typingctx, address, args):

    def emit(context, builder, signature, values):
        call_function(context, builder, values[0], tuple(args), cgutils.unpack_tuple(builder, values[1]))
        return context.get_dummy_value()

    return types.void(types.int64, args), emit


if config.DISABLE_JIT:
    def call(address, args):
        """Call the function at an address with these arguments, a tuple."""
        _functions[address](*args)
else:
    call = _call


def call_function(context, builder, address, kinds, values):
    """Emit the call of a compiled function that takes values of these types; what it raises, which is nothing, would
    be ignored."""
    function = context.call_conv.get_function_type(types.none, kinds)
    pointer = builder.inttoptr(address, function.as_pointer())
    context.call_conv.call_function(builder, pointer, types.none, kinds, values)
