"""From LLVM's own code to machine code: optimised and made by LLVM, in another thread where there is something else to
do meanwhile.

Half of the time of compiling is LLVM's, in which no Python runs, and half is Numba's, which is Python. So where several
kernels are wanted, LLVM has one of them while Numba reads the next:

    Numba   | kernel 0 | kernel 1 | kernel 2 |
    LLVM               | kernel 0 | kernel 1 | kernel 2 |

llvmlite lets only one thread into LLVM, for what threads share there must not change under them. A thread that makes
machine code shares no module, context or target with any other: it takes the code as bytes and gives bytes.
"""
import ctypes
import os
from concurrent import futures
from typing import NamedTuple

from llvmlite import binding as llvm
from llvmlite.binding import ffi
from numba import config
from numba.core.llvm_bindings import create_pass_builder

# How Numba names what holds addresses of this process, of large arrays say.
_ADDRESSES = "numba.dynamic.globals"

_pool = None


class Code(NamedTuple):
    """Machine code: the bytes of an object file, and whether these know addresses of this process."""

    object: bytes
    bound: bool


def make(codegen, bitcode):
    """The Code of a module, for the processor that `codegen` makes code for."""
    options = {"opt": config.OPT}
    codegen._customize_tm_options(options)
    target = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(**options)
    with llvm.create_context() as context, llvm.parse_bitcode(bitcode, context) as module:
        how = {"loop_vectorize": config.LOOP_VECTORIZE, "slp_vectorize": config.SLP_VECTORIZE}
        with create_pass_builder(target, config.OPT, **how) as builder, builder.getModulePassManager() as passes:
            _freely("LLVMPY_RunNewModulePassManager")(passes, module, builder)
        bound = any(variable.name.startswith(_ADDRESSES) for variable in module.global_variables)
        return Code(_emit(target, module), bound)


def _emit(target, module):
    with ffi.OutputString() as error:
        memory = _freely("LLVMPY_TargetMachineEmitToMemory")(target, module, 1, error)
        if not memory:
            raise RuntimeError(f"LLVM could not make machine code: {error}")
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)


def _freely(name):
    """A function of LLVM's without the lock that llvmlite puts around each; should it not be found there, with it, and
    threads wait for one another."""
    function = getattr(ffi.lib, name)
    return getattr(function, "_cfn", function)


class Making:
    """Machine code that another thread is making, where there can be one."""

    def __init__(self, codegen, bitcode):
        self._given = codegen, bitcode
        try:
            self._made = _threads().submit(make, codegen, bitcode)
        except RuntimeError:    # Python is about to end, or the system has no thread left
            self._made = None
        else:
            _under_way[self._made] = self
            self._made.add_done_callback(_under_way.pop)

    def ready(self):
        return self._made is None or self._made.done()

    def wait(self):
        """Until it is made; while that thread is at something else, this one makes what is last in line for it."""
        while not self.ready():
            last = next((making for making in reversed(list(_under_way.values())) if making.cancel()), None)
            if last is None:
                futures.wait([self._made])
            else:
                last._make_here()

    def cancel(self):
        """Leave it to whoever asks for the result, unless it is being made. Returns whether that could be done."""
        return self._made is not None and self._made.cancel()

    def _make_here(self):
        """In this thread, what was cancelled."""
        made = futures.Future()
        try:
            made.set_result(make(*self._given))
        except Exception as error:      # for whoever asks for the result
            made.set_exception(error)
        self._made = made

    def result(self):
        """The Code, when it is there."""
        if self._made is not None:
            try:
                return self._made.result()
            except futures.CancelledError:
                pass    # a line that was given up did not want it, but this caller does
        return make(*self._given)


_under_way = {}     # what a thread was asked for and is not done -> its Making, the last one last


def _threads():
    global _pool
    if _pool is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _pool = futures.ThreadPoolExecutor(max(1, min(3, cores - 1)), "fastnet-compiling")
    return _pool


def _before_fork():
    """A process that is forked has none of these threads, and would find what they were at as it was."""
    futures.wait(list(_under_way))


def _after_fork():
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
