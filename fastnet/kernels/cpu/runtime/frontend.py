"""Numba's way from a Python function to LLVM's code, without what kernels do without.

Two things took a third of the time there. After each of its passes Numba works out how long each variable lives, to
delete it when it is used up; in a kernel, where nothing counts references, nothing is deleted. And it asks time and
again what a call means, for each ``i + 1`` of each kernel three times over: which of the many functions that add, of
numbers, arrays, strings or dates, takes these arguments. Here the answers are kept.
"""
import contextlib

from numba.core import cgutils, ir_utils, rewrites, ssa, transforms, typed_passes, types, untyped_passes
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.lowering import Lower
from numba.core.targetconfig import ConfigStack

_find = types.Function.get_call_type    # how Numba answers
_known = {}             # Numba's flags for a function -> (what is called, types of arguments) -> (what it means, ...)
_latest = object(), {}  # the flags that were asked for last, and what is known for them


class _Pass(FunctionPass):

    def __init__(self):     # which Numba's classes leave to their heirs
        super().__init__()


@register_pass(mutates_CFG=True, analysis_only=False)
class Read(_Pass):
    """Bytecode becomes Numba's instructions, in blocks; each loop has one place that jumps back to its head."""

    _name = "kernel_read"

    def run_pass(self, state):
        untyped_passes.TranslateByteCode().run_pass(state)
        function = state.func_ir
        if function.is_generator:
            raise TypeError(f"{function.func_id.func_qualname} is a generator, which no kernel can be")
        function.blocks = transforms.canonicalize_cfg(function.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class Rewrite(_Pass):
    """Items of tuples are taken by number, and operands and messages of errors that are constant are noted."""

    _name = "kernel_rewrite"

    def run_pass(self, state):
        blocks = state.func_ir.blocks
        for kind in rewrites.rewrite_registry.rewrites["before-inference"]:
            change, waiting = kind(state), list(blocks.items())
            while waiting:
                key, block = waiting.pop()
                if change.match(state.func_ir, block, state.typemap, state.calltypes):
                    blocks[key] = change.apply()
                    waiting.append((key, blocks[key]))
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class AssignOnce(_Pass):
    """A variable that is assigned several times becomes several."""

    _name = "kernel_assign_once"

    def run_pass(self, state):
        return _define_anew(state, ssa.reconstruct_ssa(state.func_ir))


@register_pass(mutates_CFG=True, analysis_only=False)
class Meet(_Pass):
    """Where paths meet, each of them assigns what goes on."""

    _name = "kernel_meet"

    def run_pass(self, state):
        return _define_anew(state, typed_passes.PreLowerStripPhis()._strip_phi_nodes(state.func_ir))


def _define_anew(state, function):
    state.func_ir, function._definitions = function, ir_utils.build_definitions(function.blocks)
    return True


class _Lower(Lower):

    def alloca_lltype(self, name, lltype, datamodel=None):
        """The place of a variable; without words for a debugger, for which LLVM is asked how large it is, by a module
        of its own each time."""
        if self.context.enable_debuginfo:
            return super().alloca_lltype(name, lltype, datamodel)
        return cgutils.alloca_once(self.builder, lltype, name=name)


@register_pass(mutates_CFG=True, analysis_only=False)
class Write(typed_passes.NativeLowering):
    """Instructions become LLVM's code."""

    _name = "kernel_write"
    lowering_class = _Lower


@contextlib.contextmanager
def meanings_kept():
    """Numba looks up here what calls mean; for one who has its lock."""
    types.Function.get_call_type = _meaning
    try:
        yield
    finally:
        types.Function.get_call_type = _find


def _known_for(flags):
    global _latest
    latest, known = _latest
    if flags is not latest:     # to hash them takes as long as to compile a line
        known = _known.setdefault(flags, {})
        _latest = flags, known
    return known


def _meaning(function, context, args, keywords):
    """The signature of a call of one of Numba's own functions, of an overload or of a primitive.

    What is found belongs to the flags of the function that is compiled, since that which is called may be compiled for
    them. Types are looked up by their identity, of which Numba has one each: to hash them all takes several times as
    long. Where the machine code of the call is found, Numba keeps by signature alone, so that is said at each call.
    """
    if keywords:
        return _find(function, context, args, keywords)
    known = _known_for(ConfigStack.top_or_none())
    key = id(function), id(context), *map(id, args)
    meaning = known.get(key)
    if meaning is None:
        signature = _find(function, context, args, {})
        # The arguments are kept so that no other type gets their identity.
        known[key] = signature, function._impl_keys[signature.args], (function, context, args)
        return signature
    signature, implementation, _ = meaning
    function._impl_keys[signature.args] = implementation
    return signature
