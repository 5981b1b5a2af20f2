"""activation_report and ActivationMonitor find dead and saturated units."""
import numpy as np
import pytest

import fastnet
from fastnet import ActivationMonitor, Linear, ReLU, Sequential, activation_report

X = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)


def net(bend=ReLU, shift=0.0, scale=1.0):
    fastnet.manual_seed(0)
    result = Sequential(Linear(4, 8), bend(), Linear(8, 3))
    result[0].bias.value = np.array([shift] * 3 + [0.0] * 5)
    result[0].weight.value = scale * result[0].weight.value
    return result


def test_the_numbers_are_those_of_the_layers():
    model = net()
    rows = activation_report(model, X).rows
    y = X
    for layer, row in zip(model.layers, rows, strict=True):
        y = layer(y)
        assert (row.layer, row.shape, row.units) == (layer.label, y.shape, y.shape[1])
        assert row.mean == pytest.approx(y.mean(), abs=1e-6) and row.deviation == pytest.approx(y.std(), rel=1e-5)


def test_dead_units_are_counted():
    report = activation_report(net(shift=-100.0), X)
    assert [row.dead for row in report.rows] == [0, 3, 0] and report.dead == 3 / 8 and report.passed
    assert report.saturated is None
    bad = net()
    bad[0].bias.value = np.full(8, -100.0)
    report = activation_report(bad, X)
    assert report.rows[1].dead == 8 and not report.passed and "MOST UNITS DEAD" in str(report)


@pytest.mark.parametrize("bend", [fastnet.Tanh, fastnet.Sigmoid, fastnet.Hardtanh])
def test_saturation_is_measured(bend):
    fine, bad = activation_report(net(bend), X), activation_report(net(bend, scale=1000.0), X)
    assert fine.rows[1].saturated < 0.3 and fine.passed
    assert bad.rows[1].saturated == bad.saturated > 0.9 and "SATURATED" in str(bad)
    y = net(bend, scale=1000.0)[:2](X)
    low = 0 if bend is fastnet.Sigmoid else -1
    assert bad.saturated == pytest.approx(((y > 1 - (1 - low) / 100) | (y < low + (1 - low) / 100)).mean())


def test_nets_of_all_forms():
    body = Sequential(fastnet.Conv2d(2, 2, 3, padding=1), fastnet.BatchNorm2d(2))
    model = Sequential(fastnet.Residual(body), fastnet.Parallel(fastnet.Concat(), ReLU(), fastnet.Tanh()))
    before = model.state_dict()
    rows = activation_report(model, np.ones((2, 2, 5, 5), np.float32)).rows
    assert [row.layer for row in rows] == ['Conv2d "0.body.0"', 'BatchNorm2d "0.body.1"', 'ReLU "1.0"', 'Tanh "1.1"',
                                      'Concat "1.merge"']
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
    assert [layer.name for layer in model] == ["0", "1"]
    assert [row.layer for row in activation_report(Linear(4, 3), X).rows] == ["Linear"]


def test_monitor_writes_into_the_history():
    model, monitor = net(fastnet.Tanh), ActivationMonitor(X, every=2)
    trainer = fastnet.Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.1), [monitor])
    history = trainer.fit([(X, np.arange(50) % 3)], 4)
    assert list(monitor.reports) == [0, 2, 4]
    assert [row.get("dead") for row in history] == [None, 0.0, None, 0.0]
    assert history[-1]["saturated"] == activation_report(model, X).saturated
    assert "dead 0.0000" in repr(history)


def test_what_is_no_net_and_no_x_is_refused():
    with pytest.raises(TypeError, match="activation_report: net must be a net, got 3"):
        activation_report(3, X)
    with pytest.raises(ValueError, match=r"activation_report: net\(x\): Linear \"0\": expected"):
        activation_report(net(), X[:, :2])
    with pytest.raises(TypeError, match="ActivationMonitor: x must be a NumPy array"):
        ActivationMonitor([1.0])
