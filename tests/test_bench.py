"""The benchmarks of nets as they are used, at tiny sizes and without a clock: that all compute the same, and what the
report makes of it."""
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import Conv2d, Linear, ReLU, Sequential

BENCH = Path(__file__).parents[1] / "bench"
sys.path.append(str(BENCH))     # its files import each other by name
import cases  # noqa: E402
import judge  # noqa: E402
import limits  # noqa: E402
import ours  # noqa: E402

TINY = [case for case in cases.real(quick=True) if case.precision == "float32"]
BATCHES = [case for case in TINY if case.op == "inference" and case.batch > 1]


def of(op, quick):
    """The cases of a batch; those of other nets than `quick` are slow tests."""
    return [pytest.param(case, id=case.model, marks=() if case.model in quick else pytest.mark.slow)
            for case in TINY if case.op == op and case.batch > 1]


# The tiny nets that are asked in each run.
QUICK = "darknet19", "densenet40", "efficientnet_b0", "shufflenet_v2", "squeezenet1_1", "unet"


def arrays(results):
    return [np.asarray(one.detach() if hasattr(one, "detach") else one) for one in results]


def agree(case, mine, theirs):
    for a, b in zip(arrays(mine), arrays(theirs), strict=True):
        assert a.shape == b.shape
        assert np.linalg.norm(a - b) <= case.tolerance(b) * np.linalg.norm(b)


def test_every_net_is_trained_and_asked_for_a_batch_and_for_one_image():
    whole = list(cases.real(quick=False))
    assert len(whole) == 5 * len(cases.REAL) and len(TINY) == 3 * len(cases.REAL)
    assert len({str(case) for case in whole}) == len(whole)


def test_inference_with_bfloat16_is_asked_for_and_is_that():
    case = next(case for case in cases.real(quick=True)
                if case.model == "squeezenet1_1" and case.precision == "bfloat16")
    mine, exactly = ours.inference("cpu", case)(), ours.inference("cpu", replace(case, precision="float32"))()
    agree(case, mine, exactly)
    assert (mine[0] != exactly[0]).any()


@pytest.mark.parametrize("case", of("inference", QUICK))
def test_the_twin_in_pytorch_gives_the_same(case):
    peers = pytest.importorskip("peers", reason="needs PyTorch")
    mine = ours.inference("cpu", case)()
    agree(case, mine, peers.inference(case, peers.EAGER, ours.described(case))())


@pytest.mark.parametrize("case", of("step", ("squeezenet1_1",)))
def test_the_twin_in_pytorch_trains_alike(case):
    peers = pytest.importorskip("peers", reason="needs PyTorch")
    described = ours.described(case)
    mine = ours.step("cpu", case)()
    twins = peers.step(case, peers.EAGER, described)(), peers.exact_step(case, described)
    # Where the last bit decides a ReLU or a pooling, float32 and float64 go two ways, and ours goes with one of them:
    # with float32 in ResNet-50 and ShuffleNetV2, whose gradients lie 3% apart, with float64 in ResNeXt-50.
    errors = [judge.differences(arrays(mine), arrays(twin)) for twin in twins]
    assert any(loss < 1e-4 and gradient < 1e-3 for loss, gradient in errors), errors


def test_float64_judges_gradients_that_float32_leaves_open():
    case = next(case for case in TINY if case.op == "step")
    right = [np.float64(2.0), np.ones(100)]

    def off(by):
        return [np.float32(2.0), np.ones(100, np.float32) + np.float32(by)]

    def exact():
        return right

    def forbidden():
        raise AssertionError("float64 takes its time")

    assert judge.refusal(case, off(0.02), off(0.0), forbidden) is None
    assert judge.refusal(case, off(0.02), off(-0.02)) is not None
    assert judge.refusal(case, off(0.02), off(-0.02), exact) is None
    assert judge.refusal(case, off(0.05), off(-0.02), exact) is None
    assert judge.refusal(case, off(0.07), off(-0.02), exact) is not None    # more than three times as far
    assert judge.refusal(case, off(0.07), off(-0.02), exact, peer=True) is None
    assert judge.refusal(case, off(0.21), off(-0.02), exact, peer=True) is not None
    assert judge.refusal(case, off(0.04), off(0.0), exact) is not None
    assert judge.refusal(case, off(np.nan), off(0.0), exact) is not None
    assert judge.refusal(case, [np.float32(2.01), *off(0)[1:]], off(0.0), exact) is not None


def test_no_gradient_goes_through_a_layer_where_the_last_bit_decides():
    """Of two results for the same number one is clamped and the other is not; or both are, or neither."""
    layers = pytest.importorskip("layers", reason="needs PyTorch")
    ours = np.array([[0, 1e-7, 0.5, 1, 1, -1, -0.3]], np.float32)
    theirs = np.array([[1e-7, 1e-7, 0.5, 1, 1 - 1e-7, -1 + 1e-7, -0.3]], np.float32)
    row, drawn = (type(layers.LAYERS[0])("ReLU()", "nn.ReLU()", ours.shape, drawn=drawn) for drawn in (False, True))
    dy = layers.numbers(ours.shape, 1)
    assert layers.gradient(row, [ours, theirs]).tolist() == (dy * [0, 1, 1, 1, 0, 0, 1]).tolist()
    np.testing.assert_array_equal(layers.gradient(drawn, [ours, theirs]), dy)


def test_optimisers_get_gradients_in_the_order_of_their_parameters(monkeypatch):
    """As PyTorch's do: another order would have to be copied at each step."""
    layers, made, make = pytest.importorskip("layers", reason="needs PyTorch"), [], fastnet.Parameter
    monkeypatch.setattr(fastnet, "Parameter", lambda value: made.append(make(value)) or made[-1])
    layers.steps_of(layers.OPTIMISERS[0])()
    assert {parameter.value.ndim for parameter in made} == {1, 2, 4}
    assert all(parameter.grad.flags.c_contiguous for parameter in made)


def test_an_engine_without_its_converter_says_so(monkeypatch):
    engines = pytest.importorskip("engines", reason="needs ONNX")
    case, missing = BATCHES[0], ("pnnx", "litert_torch")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None if name in missing else name)
    assert "ncnn" in engines.installed(replace(case, batch=1)) and "ncnn" not in engines.installed(case)
    for engine, said in ("ncnn", "ncnn is installed, but not pnnx"), ("litert", "but not litert-torch"):
        with pytest.raises(ModuleNotFoundError, match=said):
            engines.inference(engine, replace(case, batch=1), 1, None)


@pytest.mark.parametrize("case", of("inference", QUICK))
def test_the_graph_for_onnx_gives_the_same(case):
    onnx_peer = pytest.importorskip("onnx_peer", reason="needs ONNX Runtime")
    mine = ours.inference("cpu", case)()
    agree(case, mine, onnx_peer.inference(case, 1, ours.described(case))())


def test_a_process_of_its_own_gives_the_same():
    pytest.importorskip("peers", reason="needs PyTorch")
    import elsewhere

    case = BATCHES[0]
    run = elsewhere.Elsewhere(None, case, "torch", 1, ours.described(case))
    agree(case, ours.inference("cpu", case)(), run())
    assert run() == ()      # the results come once
    process = run.process
    del run
    assert not process.is_alive()


def test_limits_count_what_winograd_leaves(monkeypatch):
    """By hand: 8 x 8 outputs are four patches of 36 products instead of 64 x 9; 1x1 and strides are counted in full."""
    monkeypatch.setattr(limits, "cache_bytes", lambda: 0)
    net = Sequential(Conv2d(4, 8, 3, padding=1), ReLU(), Conv2d(8, 6, 1), Conv2d(6, 5, 3, 2, 1))
    found = limits.work(net, (2, 4, 8, 8), training=False)
    assert found['Conv2d "0"'][0] == 2 * 2 * 8 * 4 * 4 * 36
    assert found['Conv2d "2"'][0] == 2 * 2 * 6 * 8 * 64
    assert found['Conv2d "3"'][0] == 2 * 2 * 5 * 6 * 9 * 16
    x, w, y = 2 * 4 * 64, 8 * 4 * 9 + 8, 2 * 8 * 64
    assert found['Conv2d "0"'][1] == 4 * (x + w + y)
    trained = limits.work(net, (2, 4, 8, 8), training=True)
    assert trained['Conv2d "0"'][0] == 2 * found['Conv2d "0"'][0]   # no gradient for the images
    assert trained['Conv2d "2"'][0] == 3 * found['Conv2d "2"'][0]
    assert trained["Adam"] == [0, 7 * 4 * sum(one.value.size for one in net.parameters())]


def test_limits_leave_out_what_fits_the_cache(monkeypatch):
    monkeypatch.setattr(limits, "cache_bytes", lambda: 1 << 20)
    found = limits.work(Sequential(Linear(100, 10), Linear(10, 100_000)), (1, 100), training=False)
    assert found['Linear "0"'] == [2 * 100 * 10, 0]
    assert found['Linear "1"'] == [2 * 10 * 100_000, 4 * (10 + 10 * 100_000 + 2 * 100_000)]
    assert limits.seconds([2e9, 4e9], {"multiply-add": 1e9, "bandwidth": 1e9}) == 4


def measured(group, case, contender, seconds, **info):
    return {"extra_info": {"group": group, "case": case, "contender": contender} | info, "stats": {"data": seconds}}


def test_the_report_has_losses_first_and_the_layers_where_time_is_lost(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    import report

    work = {'Conv2d "a"': [1e9, 0], 'Linear "b"': [0, 2e9]}
    raw = [measured("ceiling", "multiply-add", "fastnet", [1.0, 1.0], amount=1e12),
           measured("ceiling", "bandwidth", "fastnet", [1.0, 1.0], amount=1e12)]
    for case, torch in (("won", 0.02), ("lost", 0.005)):
        raw += [measured("real", case, "fastnet", [0.01, 0.01], work=work), measured("real", case, "torch", [torch])]
    layers = [("b", "Linear(1, 2)", "", 0.0021), ("a", "Conv2d(1, 2, 3)", "", 0.006)]
    raw.append(measured("layers", "lost", "", [1.0], layers=layers))
    path = tmp_path / "rounds.json"
    path.write_text(json.dumps({"benchmarks": raw, "machine_info": {"cpu": {}, "python_version": "3"}}))
    monkeypatch.setattr(report, "picture", lambda *_: None)
    report.main(path)
    text = (tmp_path / "real.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["nets as they are used, ms", "fastnet", "torch", "best peer / fastnet", "limit",
                       "limit / fastnet"]
    assert rows[2:4] == [["lost", "10", "5", "0.50", "3", "30%"], ["won", "10", "20", "2.00", "3", "30%"]]
    assert rows[6:] == [["a", "Conv2d(1, 2, 3)", "6", "1", "5"], ["b", "Linear(1, 2)", "2.1", "2", "0.1"]]
    assert "lost" in capsys.readouterr().out
