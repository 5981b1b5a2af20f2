"""The contract by itself: every operation's function in `shapes` tells, from shapes and dtypes alone, what it gives."""
import inspect

import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels import shapes
from fastnet.kernels.activations import ACTIVATIONS

from . import cases
from .test_backends import Watched, as_dtype, outcome
from .test_bad_input import ROWS_OF_TABLE, wanted_error

naive = kernels.load("naive")

# What is refused for its numbers, or for the memory it lies in, is refused by the operation alone.
BY_NUMBERS = {"softmax_cross_entropy-too large", "softmax_cross_entropy-negative", "nll_loss-too large",
              "sgd_update-read-only", "maxunpool2d_forward-outside", "roi_pool_forward-no such image",
              "embedding_forward-too large", "embedding_forward-negative", "embedding_forward-huge",
              "embedding_backward-too large"}


class Bare:
    """Nothing but a shape and a dtype: whoever looks at a number raises AttributeError or TypeError."""

    __slots__ = ("shape", "dtype")

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype


def bare(argument):
    if isinstance(argument, list):
        return [bare(element) for element in argument]
    return Bare(argument) if isinstance(argument, np.ndarray) else argument


def kinds(result):
    """What shapes should tell of a result."""
    if isinstance(result, (tuple, list)):
        return type(result)(map(kinds, result))
    if isinstance(result, float):
        return shapes.PYTHON_FLOAT
    return None if result is None else shapes.Kind(result.shape, result.dtype)


class Traced:
    """naive, which asks shapes before each call what will come, and is judged by what comes."""

    def __init__(self):
        self.called = set()

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.called.add(name)
            told = shapes.OPS[name](*map(bare, arguments), **{key: bare(value) for key, value in options.items()})
            result = getattr(naive, name)(*arguments, **options)
            assert told == kinds(result)
            assert type(told) is type(kinds(result))  # a tuple is no list, and no Kind
            return result
        return call


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_tells_what_comes(case, dtype):
    outcome(Traced(), case, cases.reals, dtype)


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int64", ">f4", ">f8"])
@pytest.mark.parametrize("case", cases.one_each(), ids=cases.name)
def test_results_of_other_dtypes(case, dtype):
    """They are float32 or float64, as the operations convert what comes."""
    outcome(Watched(Traced(), as_dtype(dtype)), case, lambda rng, shape: rng.integers(0, 4, shape), "float32")


@pytest.mark.parametrize("case", cases.UPDATES, ids=cases.name)
def test_updates_give_nothing(case):
    getattr(Traced(), case.op)(*cases.operands(case, cases.reals, "float32"), **case.options)


def test_nothing_is_drawn():
    generator = np.random.default_rng(0)
    state = generator.bit_generator.state
    assert shapes.draw(generator) == kinds(naive.draw(np.random.default_rng(0)))
    assert generator.bit_generator.state == state
    assert shapes.dropout(Bare(np.ones(3)), 0.5, Bare(naive.draw(generator))) == ((3,), np.float64)


def test_shapes_may_be_written_as_lists():
    """A result's shape is a tuple all the same, so that it can be compared and hashed."""
    x, w, index = Bare(np.ones((2, 4, 6, 6))), Bare(np.ones((4, 4, 1, 1))), Bare(np.zeros((2, 4, 6, 6), np.uint8))
    shape, where, window = [2, 4, 6, 6], ([1, 1], [0] * 4, [1, 1], 1), ([1, 1], [1, 1], [0] * 4)
    wanted = shapes.Kind((2, 4, 6, 6), x.dtype)
    for kind in (shapes.conv2d_backward_input(x, w, shape, *where), shapes.maxpool2d_backward(x, index, shape, *window),
                 shapes.avgpool2d_backward(x, shape, *window), shapes.unflatten(Bare(np.ones((2, 144))), shape),
                 shapes.global_avgpool_backward(Bare(np.ones((2, 4, 1, 1))), shape),
                 shapes.pad2d_backward(x, shape, [0] * 4), shapes.upsample2d_backward(x, shape, steps=[1, 1]),
                 shapes.adaptive_avgpool2d_backward(x, shape), shapes.bed_of_nails_backward(x, shape, [1, 1]),
                 shapes.zeros(x, shape),
                 shapes.mean_backward(Bare(np.ones((2, 4, 1, 6))), shape, [2]), shapes.multiply_backward(x, x, shape)):
        assert kind == wanted
    local = Bare(np.ones((6, 6, 1, 1, 4, 4)))
    assert shapes.conv_transpose2d_backward_input(x, w, shape, *where) == wanted
    assert shapes.locally_connected2d_backward_input(x, local, shape, *where[:2]) == wanted
    for kinds in (shapes.conv2d_backward_weight(x, x, [4, 4, 1, 1], *where),
                  shapes.conv_transpose2d_backward_weight(x, x, [4, 4, 1, 1], *where)):
        assert kinds == (((4, 4, 1, 1), x.dtype), ((4,), x.dtype))
    kinds = shapes.locally_connected2d_backward_weight(x, x, [*local.shape], *where[:2])
    assert kinds == ((local.shape, x.dtype), ((4, 6, 6), x.dtype))


def test_table_reaches_every_operation():
    traced = Traced()
    for case in cases.one_each():
        outcome(traced, case, cases.reals, np.float32)
    assert traced.called | {case.op for case in cases.UPDATES} | {"draw"} == set(shapes.OPS)


@pytest.mark.parametrize("operation, arguments, options, message", [
    row for row in ROWS_OF_TABLE if row.id not in BY_NUMBERS and row.values[0] in shapes.OPS])
def test_refuses_what_the_operations_refuse(operation, arguments, options, message):
    if operation in ("softmax_cross_entropy", "nll_loss", "margin_loss", "epsilon_softmax_loss"):   # labels in a list
        arguments = (arguments[0], np.asarray(arguments[1]), *arguments[2:])
    with pytest.raises((ValueError, TypeError)) as error:
        shapes.OPS[operation](*map(bare, arguments), **options)
    assert str(error.value) == message
    assert type(error.value) is wanted_error(message)


def test_only_numbers_and_memory_are_left_to_the_operations():
    assert BY_NUMBERS <= {row.id for row in ROWS_OF_TABLE}
    for row in ROWS_OF_TABLE:
        if row.id in BY_NUMBERS:
            operation, (first, second, *rest), options, _ = row.values
            shapes.OPS[operation](bare(first), bare(np.asarray(second)), *map(bare, rest), **options)


def parameters(function):
    return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", shapes.OPS)
def test_signatures_start_with_the_contract_s(ops, name):
    wanted = parameters(shapes.OPS[name])
    assert parameters(getattr(ops, name))[:len(wanted)] == wanted


@pytest.mark.parametrize("name", shapes.OPS)
def test_naive_takes_nothing_else(name):
    assert parameters(getattr(naive, name)) == parameters(shapes.OPS[name])


def test_the_question_of_the_algorithm_is_put_alike(ops):
    assert list(inspect.signature(ops.conv2d_algorithm).parameters) == [
        "direction", "dtype", "x_shape", "w_shape", "stride", "padding", "dilation", "groups"]


def test_naive_has_the_operations_and_nothing_else():
    public = {name for name, value in vars(naive).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert public - {"collect"} == {*shapes.OPS, "conv2d_algorithm", "empty_cache", "release"}


def test_contract_is_told_in_words():
    assert [name for name, function in shapes.OPS.items() if not function.__doc__] == []


def test_activations_read_what_their_rows_say():
    """The second argument of a derivative is x or y, whichever it is worked out from."""
    reads = {name: list(inspect.signature(row.backward).parameters)[1] for name, row in ACTIVATIONS.items()}
    assert reads == {name: row.reads for name, row in ACTIVATIONS.items()}


def test_a_backend_that_lacks_an_operation_cannot_be_imported():
    modules = [module for module in vars(naive).values() if inspect.ismodule(module)]
    assert kernels.collect(*modules, extras=["maxpool2d_forward"])["add"] is naive.add
    assert set(kernels.collect(*modules)) == set(shapes.OPS)
    without = [module for module in modules if module is not naive.linear]
    with pytest.raises(ImportError, match="^these operations are in none of .*: linear_forward, linear_backward_input, "
                                          "linear_backward_weight, fused$"):
        kernels.collect(*without, extras=("fused",))
