"""The naive backend judges the compiled one, and the inputs' layout and dtype never matter."""
import inspect
import re

import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels import exact

from . import cases
from .judge import assert_close, assert_same, rounding_bound

naive = kernels.load("naive")
UPDATES = ("sgd_update", "adam_update")
# Operations whose arguments or results are no arrays; they have tests of their own.
OTHERS = ("conv2d_pack", "conv2d_inference", "conv2d_maxpool_forward", "conv2d_maxpool_inference", "conv2d_algorithm",
          "record", "watcher")


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
                if result.ndim == 4 and name != "conv2d_backward_weight":
                    assert result.transpose(0, 2, 3, 1).flags.c_contiguous
            return results
        return call

    def changed(self, argument):
        if isinstance(argument, list):
            return [self.changed(array) for array in argument]
        return self.change(argument) if isinstance(argument, np.ndarray) else argument


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
        elif theirs.dtype.kind == "u":
            assert_same(ours, theirs)
        else:
            assert ours.dtype == dtype
            assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [case for case in cases.CASES if case.op in cases.EXACT], ids=cases.name)
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


@pytest.mark.parametrize("case", cases.CONVOLUTIONS + cases.LINEARS, ids=cases.name)
def test_mask(ops, case):
    """mask=a is a multiplication by (a > 0) afterwards."""
    x, w, _ = cases.operands(case, cases.integers, np.float32)
    mask = cases.integers(np.random.default_rng(2), x.shape).astype(np.float32)
    dy = cases.forward(naive, case, [x, w, None])[0]
    with exact():
        if case.op == "linear_forward":
            plain, masked = ops.linear_backward_input(dy, w), ops.linear_backward_input(dy, w, mask=mask)
        else:
            arguments = dy, w, x.shape, *cases.geometry(case)
            plain, masked = ops.conv2d_backward_input(*arguments), ops.conv2d_backward_input(*arguments, mask=mask)
    assert_same(masked, np.where(mask > 0, plain, np.float32(0)))


def test_mask_of_add(ops):
    a, b, mask = cases.integers(np.random.default_rng(0), (3, 2, 5, 3, 4)).astype(np.float32)
    assert_same(ops.add(a, b, mask=mask), np.where(mask > 0, a + b, np.float32(0)))
    assert_same(ops.add(a, b, relu=True, mask=mask), np.where(mask > 0, np.maximum(a + b, 0), np.float32(0)))


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
    # The index of max-pooling is opaque and comes back as it was handed out; a variance or a softmax is no integer.
    def change(array):
        return array if array.dtype.kind == "u" or (array != np.round(array)).any() else array.astype(dtype)
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
        if case.op in cases.EXACT:
            assert_same(ours, theirs)
        elif isinstance(theirs, float):
            assert ours == pytest.approx(theirs, rel=1e-6)
        else:
            assert_close(ours, theirs)


def test_big_endian_doubles_stay_doubles(ops):
    x = np.arange(6.0).reshape(2, 3)
    assert_same(ops.relu_forward(x.astype(">f8")), x)


def test_operands_take_the_dtype_of_the_first(ops):
    x, w = np.ones((2, 3), np.float32), np.full((4, 3), 1 + 1e-12)
    assert_same(ops.linear_forward(x, w), np.full((2, 4), 3, np.float32))
    assert ops.linear_forward(x.astype(np.float64), w.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_inputs_stay_and_images_come_channels_last(ops, case):
    outcome(Watched(ops), case, cases.reals, np.float32)


def test_table_reaches_every_operation():
    watched = Watched(naive)
    for case in cases.one_each() + [case for case in cases.CASES if case.options.get("relu")]:
        outcome(watched, case, cases.reals, np.float32)
    assert watched.called | {*UPDATES, *OTHERS} == set(kernels.OPS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (33,), (16, 3, 3, 3), (10, 65)])
@pytest.mark.parametrize("operation, options", [
    ("sgd_update", {"lr": 0.1}),
    ("sgd_update", {"lr": 0.1, "weight_decay": 0.01}),
    ("sgd_update", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "first": True}),
    ("sgd_update", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("sgd_update", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    ("sgd_update", {"lr": 0.1, "weight_decay": 0.01, "scale": 0.3}),
    ("sgd_update", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True, "scale": 0.3}),
    ("adam_update", {"step": 1, "lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}),
    ("adam_update", {"step": 5, "lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1}),
    ("adam_update", {"step": 9, "lr": 1e-2, "beta1": 0.8, "beta2": 0.9, "eps": 1e-8, "weight_decay": 0.1,
                     "decoupled": True}),
    ("adam_update", {"step": 2, "lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1,
                     "scale": 0.3}),
])
def test_updates(ops, operation, options, shape, dtype):
    rng = np.random.default_rng(0)
    value, grad, first, second = rng.standard_normal((4, *shape)).astype(dtype)
    state = [first, second**2] if operation == "adam_update" else [first if options.get("momentum") else None]
    outcomes = []
    for module in (ops, naive):
        mine = [value.copy(), grad.copy(), *(None if array is None else array.copy() for array in state)]
        getattr(module, operation)(*mine, **options)
        assert_same(mine[1], grad)
        outcomes.append([array for array in mine if array is not None])
    for ours, theirs in zip(*outcomes, strict=True):
        assert ours.dtype == dtype
        assert_close(ours, theirs)


def signatures(text):
    """Every ``name(arguments) -> `` of the contract, and the two that return nothing, on one line each."""
    found = re.findall(r"^    (\w+)\((.*?)\)(?: ->|$|:)", text, re.MULTILINE | re.DOTALL)
    return {name: " ".join(arguments.split()) for name, arguments in found}


@pytest.mark.parametrize("name", kernels.OPS)
def test_signatures_follow_the_contract(ops, name):
    assert str(inspect.signature(getattr(ops, name))) == f"({signatures(kernels.__doc__)[name]})"


def test_every_operation_has_a_docstring(ops):
    assert [name for name in kernels.OPS if not getattr(ops, name).__doc__] == []


def test_unknown_backend():
    with pytest.raises(ValueError, match="^unknown backend 'gpu': choose one of 'naive', 'cpu'$"):
        kernels.load("gpu")
