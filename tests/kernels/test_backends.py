"""The naive backend judges the compiled one, and the inputs' layout and dtype never matter."""
import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels import exact

from . import cases
from .judge import assert_close, assert_same, rounding_bound

NAN, INF = np.nan, np.inf
naive = kernels.load("naive")


class Watched:
    """A backend that sends its array arguments through `change` first, and looks at every call: no argument may be
    written to, no result may share its memory, and images come channels-last."""

    def __init__(self, ops, change=lambda array: array):
        self.ops, self.change, self.called = ops, change, set()

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.called.add(name)
            arguments = [self.changed(argument) for argument in arguments]
            arrays = [array for array in cases.flat(arguments) if isinstance(array, np.ndarray)]
            before = [array.copy() for array in arrays]
            results = getattr(self.ops, name)(*arguments, **options)
            for array, copy in zip(arrays, before, strict=True):
                assert_same(array, copy)
            for result in filter(lambda result: isinstance(result, np.ndarray), cases.flat([results])):
                assert not any(np.may_share_memory(result, array) for array in arrays)
                if result.ndim == 4 and not name.endswith("_backward_weight"):
                    assert result.transpose(0, 2, 3, 1).flags.c_contiguous
            return results
        return call

    def changed(self, argument):
        if isinstance(argument, list):
            return [self.changed(array) for array in argument]
        # A single number has no layout, and may be a count that no other dtype does for.
        return self.change(argument) if isinstance(argument, np.ndarray) and argument.ndim else argument


def outcome(ops, case, numbers, dtype):
    """All results and gradients of a case. The backward operations get the results of the naive backend, so that
    a rounding that moves a value across zero does not count as an error of theirs."""
    arrays = cases.operands(case, numbers, dtype)
    results, ideal = cases.forward(ops, case, arrays), cases.forward(naive, case, arrays)
    rng = np.random.default_rng(1)
    dys = [1.0 if np.ndim(y) == 0 else numbers(rng, y.shape).astype(dtype) for y in cases.differentiable(case, ideal)]
    found = cases.gradients(ops, case, arrays, ideal, dys) if dys else []
    return results + [gradient for gradient in found if gradient is not None]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_real_numbers(ops, case, dtype):
    wanted = outcome(naive, case, cases.reals, dtype)
    got = outcome(ops, case, cases.reals, dtype)
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        if isinstance(theirs, float):
            assert type(ours) is float and ours == pytest.approx(theirs, rel=1e-5 if dtype == "float32" else 1e-12)
        elif theirs.dtype.kind in "iu":
            assert_same(ours, theirs)
        else:
            assert ours.dtype == case.options.get("dtype", dtype)
            assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [case for case in cases.CASES if cases.exact_in_integers(case)], ids=cases.name)
def test_integers_match_to_the_last_bit(ops, case, dtype):
    with exact():
        got = outcome(ops, case, cases.integers, dtype)
    for ours, theirs in zip(got, outcome(naive, case, cases.integers, dtype), strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("case", cases.CONVOLUTIONS + cases.LINEARS, ids=cases.name)
def test_rounding_stays_within_the_provable_bound(ops, case):
    arrays = cases.operands(case, cases.reals, np.float32)
    wide = [None if array is None else array.astype(np.float64) for array in arrays]
    with exact():
        got = cases.forward(ops, case, arrays)[0]
    wanted = cases.forward(naive, case, wide)[0]
    magnitude = cases.forward(naive, case, [None if array is None else np.abs(array) for array in wide])[0]
    terms = int(np.prod(case.shapes[1][1:])) + 1
    assert (np.abs(got - wanted) <= rounding_bound(magnitude, terms, np.float32)).all()
    assert_close(got, wanted)


def nchw(array):
    return np.ascontiguousarray(array)


def channels_last(array):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1) if array.ndim > 1 else array


def sliced(array):
    wide = np.zeros([2 * size + 1 for size in array.shape], array.dtype)
    view = wide[tuple(slice(1, 2 * size, 2) for size in array.shape)]
    view[...] = array
    return view


def flipped(array):
    return np.flip(np.flip(array).copy())


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def as_dtype(dtype):
    # The index of max-pooling is opaque and comes back as it was handed out; a variance or a softmax is no integer, and
    # what a layer kept may be too large for one of few bits.
    def change(array):
        if array.dtype.kind == "u" or (array != np.round(array)).any():
            return array
        with np.errstate(invalid="ignore"):
            changed = array.astype(dtype)
        return changed if np.array_equal(changed, array) else array
    change.__name__ = dtype
    return change


LAYOUTS = [nchw, channels_last, np.asfortranarray, sliced, flipped, read_only,
           *map(as_dtype, ("float16", "int8", "int64", "uint8", ">f4", ">i2"))]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("case", cases.one_each(), ids=cases.name)
def test_any_layout_and_dtype(ops, case, layout):
    def numbers(rng, shape):
        return rng.integers(0, 4, shape)

    wanted = outcome(ops, case, numbers, np.float32)
    for ours, theirs in zip(outcome(Watched(ops, layout), case, numbers, np.float32), wanted, strict=True):
        if cases.exact_in_integers(case):
            assert_same(ours, theirs)
        elif isinstance(theirs, float):
            assert ours == pytest.approx(theirs, rel=1e-6)
        else:
            assert_close(ours, theirs)


def test_big_endian_doubles_stay_doubles(ops):
    x = np.arange(6.0).reshape(2, 3)
    assert_same(ops.add(x.astype(">f8"), 0 * x), x)


def test_operands_take_the_dtype_of_the_first(ops):
    x, w = np.ones((2, 3), np.float32), np.full((4, 3), 1 + 1e-12)
    assert_same(ops.linear_forward(x, w), np.full((2, 4), 3, np.float32))
    assert ops.linear_forward(x.astype(np.float64), w.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_inputs_stay_and_images_come_channels_last(ops, case):
    outcome(Watched(ops), case, cases.reals, np.float32)


def test_table_reaches_every_operation():
    watched = Watched(naive)
    for case in cases.one_each():
        outcome(watched, case, cases.reals, np.float32)
    assert watched.called | {case.op for case in cases.UPDATES} | {"draw"} == set(kernels.OPS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", cases.UPDATES, ids=cases.name)
def test_updates(ops, case, dtype):
    for size in (None, 1, 65):  # the case's own shape, and rows of one size
        shapes = [shape if shape is None or size is None else (size,) for shape in case.shapes]
        outcomes = []
        for module in (ops, naive):
            mine = cases.operands(case._replace(shapes=shapes), cases.reals, dtype)
            grad = mine[1].copy()
            assert getattr(module, case.op)(*mine, **case.options) is None
            assert_same(mine[1], grad)
            outcomes.append([array for array in mine if array is not None])
        for ours, theirs in zip(*outcomes, strict=True):
            assert ours.dtype == dtype
            assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_statistics_to_the_last_bit(ops, dtype):
    """Each product and the sum is rounded by itself, whatever a processor could do in one step."""
    running_mean, running_var, mean, var = np.random.default_rng(0).random((4, 1003)).astype(dtype)
    for momentum, count in ((0.1, 7), (1 / 3, 2), (0.9, 10**6)):
        found = ops.batchnorm_track(running_mean, running_var, np.array(41), mean, var, count, momentum)
        kept, unbiased = np.array([1 - momentum, momentum * count / (count - 1)], dtype)
        assert_same(found[0], kept * running_mean + np.array(momentum, dtype) * mean)
        assert_same(found[1], kept * running_var + unbiased * var)
        assert_same(found[2], np.array(42))


@pytest.mark.parametrize("layout", [nchw, channels_last, np.asfortranarray, sliced, flipped, read_only])
@pytest.mark.parametrize("given", ["bool", "uint8", "int8", ">i2", "int64", "uint64", "float16", ">f4", "float32",
                                   "float64", "longdouble"])
@pytest.mark.parametrize("wanted", ["float32", np.float64], ids=str)
def test_convert(ops, layout, given, wanted):
    rng, native = np.random.default_rng(0), np.dtype(given).newbyteorder("=")
    if native.kind in "iu":  # all of the range: an int64 must not become a float64 by way of a float32
        numbers = rng.integers(np.iinfo(native).min, np.iinfo(native).max, (2, 17, 3, 5), native, endpoint=True)
    else:
        numbers = rng.standard_normal((2, 17, 3, 5)).clip(0 if native.kind == "b" else None)
    x = layout(numbers.astype(given))
    y = Watched(ops).convert(x, wanted)
    assert_same(y, x.astype(np.dtype(wanted).newbyteorder("=")))


def test_convert_beyond_the_range(ops):
    x = np.array([1e300, -1e300, 1e-300, NAN, 2**-149])
    assert_same(ops.convert(x, "float32"), np.array([INF, -INF, 0, NAN, 2**-149], np.float32))


def test_every_operation_has_a_docstring(ops):
    assert [name for name in kernels.OPS if not getattr(ops, name).__doc__] == []


def test_unknown_backend():
    with pytest.raises(ValueError, match="^backend must be 'naive' or 'cpu', got 'gpu'$"):
        kernels.load("gpu")
