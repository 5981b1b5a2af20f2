"""State dictionaries of every layer: what is missing, unexpected or misshapen; a refused load changes nothing."""
import copy

import numpy as np
import pytest

from fastnet import models
from fastnet.layers import BatchNorm1d, BatchNorm2d, Linear, Sequential

from .battery import CASES, IDS, arrays, build
from .test_copies import after_training
from .wrong import NEVER, digest

each_layer = pytest.mark.parametrize(("text", "shape"), CASES, ids=IDS)


def trained(text, shape):
    net = build(text)
    after_training(net, arrays(shape), arrays(net.output_shape(shape), seed=9))
    return net


def same(state, expected):
    assert list(state) == list(expected)
    for name, value in state.items():
        assert value.dtype == expected[name].dtype
        np.testing.assert_array_equal(value, expected[name], name)


@each_layer
def test_loads_what_pytorch_would(text, shape):
    """All floats, no counters, tensors, too many names."""
    net = trained(text, shape)
    state = net.state_dict()
    same_kinds = {"as it is": state, "float32": {name: value.astype(np.float32) for name, value in state.items()},
                  "float64": {name: value.astype(np.float64) for name, value in state.items()}}
    for given in same_kinds.values():
        twin = build(text)
        assert twin.load_state_dict(given) == ([], [])
        same(twin.state_dict(), state)
    twin = build(text)
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    assert twin.load_state_dict({name: value for name, value in state.items() if name not in counters}) == ([], [])
    same(twin.state_dict(), state | {name: np.array(0) for name in counters})
    given = {"more": np.zeros(3), 3: 4, **state}
    lost = [name for name in state if name not in counters][:1]
    for name in lost:
        del given[name]
    twin, kept = build(text), build(text)
    kept.load_state_dict(twin.state_dict())
    found = twin.load_state_dict(given, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (lost, ["more", "3"])
    same(twin.state_dict(), state | {name: kept.state_dict()[name] for name in lost})


@each_layer
def test_all_or_nothing(text, shape):
    net = trained(text, shape)
    before, state = digest(net), {name: value + 1 for name, value in net.state_dict().items()}
    kind = type(net).__name__
    for name in state:
        wrong = {"another shape": np.zeros((*state[name].shape, 1)), "complex": state[name] + 1j,
                 "ragged": [[1.0], [2.0, 3.0]], "text": "x", "None": None,
                 "masked": np.ma.masked_array(state[name], True)}
        if state[name].dtype.kind in "iu":
            wrong |= {"half": state[name] + 0.5, "NaN": np.array(np.nan), "beyond": np.array(1e30)}
        else:
            wrong["beyond"] = np.full(state[name].shape, 1e300)
        for what, value in wrong.items():
            for strict in (True, False):
                with pytest.raises(ValueError, match=f"^{kind}: the state does not fit, nothing was loaded: {name} "):
                    net.load_state_dict(state | {name: value}, strict)
                assert digest(net) == before, what
        if not name.endswith("num_batches_tracked"):
            with pytest.raises(ValueError, match=f"nothing was loaded: missing {name}$"):
                net.load_state_dict({other: value for other, value in state.items() if other != name})
            assert digest(net) == before
    with pytest.raises(ValueError, match=f"^{kind}: the state does not fit, nothing was loaded: unexpected more, 3$"):
        net.load_state_dict(state | {"more": 1, 3: 4})
    for value in NEVER.values():
        if not isinstance(value, dict):
            with pytest.raises(TypeError, match=f"^{kind}: state must be a dictionary from names to arrays, got "):
                net.load_state_dict(value)
        with pytest.raises(TypeError, match=f"^{kind}: strict must be True or False, got "):
            net.load_state_dict(state, strict=value)
    assert digest(net) == before


def test_one_error_tells_everything_in_a_few_words():
    net = models.resnet20()
    before = digest(net)
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(models.vgg_small().state_dict() | {f"more{i}": None for i in range(5000)})
    text = str(caught.value)
    assert len(text) < 1500 and digest(net) == before
    for part in ("missing ", "unexpected ", " has shape ", " and 5", "more; "):
        assert part in text, text


def test_nested_nets_change_together():
    """What fits is not loaded either where something in another part does not."""
    net = Sequential(Sequential(BatchNorm1d(3), Linear(3, 3)), Sequential(Sequential(Linear(3, 2))))
    before, state = digest(net), {name: value + 1 for name, value in net.state_dict().items()}
    state["1.0.0.bias"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"nothing was loaded: 1.0.0.bias has shape \(3,\), expected \(2,\)$"):
        net.load_state_dict(state, strict=False)
    assert digest(net) == before


def test_a_state_of_pytorch():
    torch = pytest.importorskip("torch")
    judge = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    judge(torch.ones(2, 3, 5, 5))
    for change in (lambda state: state, copy.deepcopy, lambda state: {name: value.float() for name, value in
                                                                     state.items()}):
        net = Sequential(build("Conv2d(3, 4, 3)"), BatchNorm2d(4))
        net.load_state_dict(change(judge.state_dict()))
        for name, value in judge.state_dict().items():
            np.testing.assert_array_equal(net.state_dict()[name], value.numpy())


@pytest.mark.parametrize("strict", [True, False])
def test_a_head_of_another_size_says_the_way(strict):
    net, other = (Sequential({"body": Linear(3, 4), "fc": Linear(4, classes)}) for classes in (10, 1000))
    with pytest.raises(ValueError, match=r"fc.weight has shape \(1000, 4\), expected \(10, 4\); .*: to give the net "
                                         r"another layer .* the sizes of the state, load it, then assign net\['fc'\]$"):
        net.load_state_dict(other.state_dict(), strict)
