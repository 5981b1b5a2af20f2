"""From LLVM's own code to machine code: optimised and made by LLVM, in another thread where there is something else to
do meanwhile.

Half of the time of compiling is LLVM's, in which no Python runs, and half is Numba's, which is Python. So where several
kernels are wanted, LLVM has one of them while Numba reads the next:

    Numba   | kernel 0 | kernel 1 | kernel 2 |
    LLVM               | kernel 0 | kernel 1 | kernel 2 |

Whoever must wait for machine code makes what is last in line meanwhile, see `Making.wait`.

llvmlite lets only one thread into LLVM, for what threads share there must not change under them. A thread that makes
machine code shares no module, context or target with any other: it takes the code as bytes and gives bytes.
"""
import ctypes
import os
import threading
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
    """Machine code that another thread is to make, where there can be one, or whoever has to wait for some."""

    def __init__(self, codegen, bitcode):
        self._given = codegen, bitcode
        try:
            self._made = _threads().submit(make, codegen, bitcode)
        except RuntimeError:    # Python is about to end, or the system has no thread left
            self._made = None
        else:
            self._is_under_way()

    def ready(self):
        made = self._made   # which other threads change, here and below
        return made is None or made.done()

    def wait(self):
        """Until it is made. Meanwhile this thread makes what nobody has begun: what is last in line, since the other
        thread takes the first."""
        while (made := self._made) is not None and not made.done():
            if not any(making._make_here() for making in reversed(list(_under_way.values()))):
                futures.wait([made])

    def cancel(self):
        """Leave it to whoever asks for the result, unless it is being made."""
        made = self._made
        if made is not None:
            made.cancel()

    def result(self):
        """The Code, when it is there."""
        before, made = None, self._made
        while made is not None and made is not before:
            try:
                return made.result()
            except futures.CancelledError:
                with _claims:   # it is another one now where a thread has claimed it, and none after an interrupt
                    before, made = made, self._made
        return make(*self._given)   # a line that was given up did not want it, but this caller does

    def _make_here(self):
        """Take it from the other thread, and make it in this one; whether it was there to be taken."""
        made = futures.Future()
        made.set_running_or_notify_cancel()
        try:
            with _claims:
                if self._made is None or self._made.cancelled() or not self._made.cancel():
                    return False
                self._made = made
                self._is_under_way()
            made.set_result(make(*self._given))
        except Exception as error:
            made.set_exception(error)   # for whoever asks for the result
        finally:
            if self._made is made and not made.done():  # after an interrupt
                self._made = None
                made.set_exception(futures.CancelledError())
        return True

    def _is_under_way(self):
        _under_way[self._made] = self
        self._made.add_done_callback(lambda made: _under_way.pop(made, None))


_claims = threading.Lock()
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
    global _pool, _claims
    _pool, _claims = None, threading.Lock()
    _under_way.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
