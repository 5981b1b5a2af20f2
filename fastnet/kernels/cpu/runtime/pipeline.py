"""Numba's pipeline from a Python function to LLVM's code, cut down to what kernels need, and what comes of it.

Numba goes over each function again and again to look for what kernels do without, and that took a sixth of Python's
part of the time; see `frontend` for more of it. So in a kernel these are errors: functions and comprehensions within
it, `with`, `literal_unroll`, messages of exceptions that are worked out; lists and objects of Python's were errors
before. And as nothing counts references to arrays, no variable has to be deleted when it is used up.
"""
from numba.core import typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager

from fastnet.kernels.cpu.runtime import frontend, machine_code

_PASSES = {
    "read the bytecode": frontend.Read,
    "take the arguments": untyped_passes.FixupArgs,
    "fill in numbers of axes and lengths of tuples": untyped_passes.RewriteSemanticConstants,
    "drop branches that constants decide": untyped_passes.DeadBranchPrune,
    "take items of tuples by number": frontend.Rewrite,
    "give each variable one assignment": frontend.AssignOnce,
    "find types": typed_passes.NopythonTypeInference,
    "let paths that meet have their own assignments": frontend.Meet,
    "write LLVM's code": frontend.Write,
    "finish": typed_passes.NoPythonBackend,
}


_taken_in = set()   # libraries whose machine code LLVM will ask for


class Library(JITCodeLibrary):
    """The code of a function that others may call, whose code becomes part of theirs. So it is made machine code only
    where it is called by its address: nearly two thirds of all functions never are."""

    _making = _code = _kept = None

    def begin(self):
        """Have another thread make machine code, which will be wanted."""
        if self._making is None and not self.made:
            self._making = machine_code.Making(self._codegen, self._bitcode())

    def wait(self):
        """Until it is made."""
        making = self._making
        if making is not None:
            making.wait()

    def cancel(self):
        """It may not be wanted after all."""
        making = self._making
        if making is not None:
            making.cancel()

    @property
    def made(self):
        """Whether this function is machine code by itself."""
        return self._code is not None

    def ready(self):
        """Whether machine code is there, or was not begun."""
        making = self._making   # which another thread may let go of meanwhile
        return making is None or making.ready()

    def when_made(self, keep):
        """Call a function when machine code is there."""
        self._kept = keep

    def _bitcode(self):
        self._get_module_for_linking()      # keeps a copy, since what callers are given stays as it is
        return self._final_module.as_bitcode()

    def _make(self):
        if not self.made:
            code = machine_code.make(self._codegen, self._bitcode()) if self._making is None else self._making.result()
            _taken_in.add(self)     # an interrupt may come when LLVM has the module, and before it asks for the code
            self._set_compiled_object(code.object)
            super()._finalize_final_module()
            _taken_in.discard(self)
            self._code, self._making = code, None
            keep, self._kept = self._kept, None
            if keep is not None:
                keep()

    def _optimize_functions(self, module):
        """Not here: what is done to one function is done again where it is part of another one."""
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        """Not here, but where machine code is made."""

    def _finalize_final_module(self):
        """Callers can be given this code from now on."""
        self._finalized = True

    @property
    def has_dynamic_globals(self):
        self._make()
        return self._code.bound

    def get_pointer_to_function(self, name):
        self._make()
        return super().get_pointer_to_function(name)

    def serialize_using_object_code(self):
        self._make()
        return self.name, "object", (self._code.object, self._get_module_for_linking().as_bitcode())


class Pipeline(CompilerBase):
    """See the module. What kernels do without is left out: objects of Python's in their environment, and what has to be
    done whenever they are loaded."""

    def define_pipelines(self):
        passes = PassManager("kernel")
        for what, one in _PASSES.items():
            passes.add_pass(one, what)
        passes.finalize()
        return [passes]

    def _compile_bytecode(self):
        state = self.state
        state.flags.no_compile = True
        state.library = Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        result = super()._compile_bytecode()._replace(entry_point=object())     # which callers find it by
        state.targetctx.insert_user_function(result.entry_point, result.fndesc, [result.library])
        return result
