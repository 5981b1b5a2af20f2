"""Parts of arrays, inside kernels."""
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def _part(typingctx, x, i, n):
    def emit(context, builder, signature, args):
        array, first, count = args
        array = context.make_array(x)(context, builder, array)
        array.data, array.nitems = builder.gep(array.data, [first]), count
        array.shape = cgutils.pack_array(builder, [count])
        return array._getvalue()

    return x(x, types.int64, types.int64), emit


if config.DISABLE_JIT:
    def part(x, i, n):
        """x[i : i + n] of a flat array, as kernels may write it: they are compiled without what Numba needs for slices.
        In plain Python a part that is not there is refused."""
        if not 0 <= i <= i + n <= x.size:
            raise IndexError(f"numbers {i} to {i + n} of an array of {x.size}")
        return x[i: i + n]
else:
    part = _part
