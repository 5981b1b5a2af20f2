"""sanity_check, lr_range_test and UpdateRatios: right nets pass, planted faults are found."""
import copy

import numpy as np
import pytest

import fastnet
from fastnet import (
    SGD,
    Adam,
    BatchNorm1d,
    CrossEntropyLoss,
    Dropout,
    Linear,
    MSELoss,
    MultiMarginLoss,
    ReLU,
    Sequential,
    Trainer,
    UpdateRatios,
    lr_range_test,
    sanity_check,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 6)).astype(np.float32)
Y = (X[:, 0] > 0) + (X[:, 1] > 0).astype(int)


def net(*more):
    fastnet.manual_seed(0)
    return Sequential(Linear(6, 30), *more, ReLU(), Linear(30, 3))


def failed(report):
    return [row.name for row in report.rows if row.passed is False]


@pytest.mark.parametrize("loss, words", [(CrossEntropyLoss(), "ln 3 = 1.099"),
                                         (MultiMarginLoss(over_classes="sum"), "3 - 1 = 2")])
def test_a_right_net_passes(loss, words):
    model = net(BatchNorm1d(30), Dropout(0.2))
    before, state = model.state_dict(), repr(model[2].generator.bit_generator.state)
    report = sanity_check(model, loss, X, Y)
    assert report.passed and failed(report) == [] and words in str(report), report
    assert min(value for value in report.rates.values() if value is not None) < 1
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
    assert repr(model[2].generator.bit_generator.state) == state and model[0].weight.grad is None


def test_first_weights_that_are_too_large_are_found():
    model = net()
    model[2].weight.value = 100 * model[2].weight.value
    assert "the loss begins where it should" in failed(sanity_check(model, CrossEntropyLoss(), X, Y))


def test_dead_units_are_found():
    model = net()
    model[0].bias.value = np.full(30, -1000.0)
    report = sanity_check(model, CrossEntropyLoss(), X, Y)
    assert {"a gradient reaches every parameter", "20 samples can be overfitted"} <= set(failed(report))
    assert "none at 0.weight, 0.bias" in str(report)


def test_a_learning_rate_that_is_too_high_is_found():
    def names(lr):
        return failed(sanity_check(net(), CrossEntropyLoss(), X, Y, SGD, lr=lr))

    assert names(0.1) == [] and "the learning rate 100 lowers it" in names(100.0)


def test_a_loss_whose_gradient_has_the_wrong_sign_is_found():
    def loss(outputs, targets):
        value, gradient = CrossEntropyLoss()(outputs, targets)
        return value, -gradient

    assert {"a learning rate lowers it", "20 samples can be overfitted"} <= set(
        failed(sanity_check(net(), loss, X, Y)))


def test_regression():
    fastnet.manual_seed(0)
    model = Sequential(Linear(6, 30), ReLU(), Linear(30, 1))
    report = sanity_check(model, MSELoss(), X, X[:, :1] + X[:, 1:2])
    assert report.passed and "a tenth of the loss" in str(report), report


@pytest.mark.parametrize("change, text", [
    (dict(y=Y[:5]), "sanity_check: y must hold one row for each of the 60 samples of x"),
    (dict(x=X[:, :2]), r"sanity_check: loss\(net\(x\), y\): Linear \"0\""),
    (dict(optimizer=3), r"sanity_check: optimizer must be a function \(parameters, lr\)"),
    (dict(optimizer=lambda *given: None), "sanity_check: what optimizer gives must be an optimiser, got None"),
    (dict(x=np.full_like(X, np.nan)), "sanity_check: loss must be finite at the start"),
    (dict(lr=0), "sanity_check: lr must be a finite number above 0"),
    (dict(regularizer=1), "sanity_check: regularizer must be a regulariser"),
])
def test_sanity_check_refuses(change, text):
    with pytest.raises((TypeError, ValueError), match=text):
        sanity_check(**dict(net=net(), loss=CrossEntropyLoss(), x=X, y=Y) | change)


def test_the_range_test_leaves_all_as_it_was():
    model = net(BatchNorm1d(30), Dropout(0.2))
    optimizer = Adam(model.parameters(), lr=0.003)
    loader = fastnet.data.DataLoader(X, Y, batch_size=20)
    Trainer(model, CrossEntropyLoss(), optimizer).fit(loader, 2)
    twins = copy.deepcopy((model, optimizer, loader))
    found = lr_range_test(model, CrossEntropyLoss(), optimizer, loader, steps=30)
    assert optimizer.lr == 0.003 and loader.epoch == twins[2].epoch
    histories = [Trainer(m, CrossEntropyLoss(), o).fit(b, 2) for m, o, b in ((model, optimizer, loader), twins)]
    assert histories[0]["loss"] == histories[1]["loss"]
    assert found.lrs[0] == pytest.approx(1e-6) and np.all(np.diff(np.log(found.lrs)) > 0)
    np.testing.assert_allclose(found.lrs[1:] / found.lrs[:-1], 1e7 ** (1 / 29), rtol=1e-9)


def test_the_range_test_finds_the_rate_at_which_training_diverges():
    """Of L = a w^2 / 2 gradient descent diverges above lr = 2 / a, and 1 / a is the best."""
    model = Linear(1, 1, bias=False)
    model.weight.value = np.array([[3.0]])
    x, y = np.full((4, 1), 2.0, np.float32), np.zeros((4, 1), np.float32)    # L = 4 w^2, a = 8
    optimizer = SGD(model.parameters(), lr=1.0)
    found = lr_range_test(model, MSELoss(), optimizer, [(x, y)], 1e-4, 100.0, 200, smoothing=0)
    assert 1e-4 < found.lowest < 1.05 * 2 / 8 < found.diverged < 10 and found.suggestion == found.lowest / 10
    assert found.steepest <= found.lowest and found.losses[0] == pytest.approx(36) and len(found.losses) < 200
    assert "diverged at" in repr(found)


def test_a_loss_that_does_not_fall_suggests_no_rate():
    model = net()
    found = lr_range_test(model, CrossEntropyLoss(), SGD(model.parameters(), 0.1), (X, Y), lr_max=1e-5, steps=5)
    assert not found.fell and "the loss did not fall, from" in repr(found)
    with pytest.raises(ValueError, match="^lr_range_test: the loss did not fall.*: take more steps"):
        print(found.suggestion)
    plot = pytest.importorskip("matplotlib.pyplot")
    labels = fastnet.plot.lr_range(found).get_legend_handles_labels()[1]
    plot.close("all")
    assert not any("begin with" in label for label in labels)


def test_ten_times_the_rate_is_beyond_the_one_that_is_lowest():
    model = net()
    found = lr_range_test(model, CrossEntropyLoss(), SGD(model.parameters(), 0.1), (X, Y), lr_max=1000.0)
    assert found.suggestion * 10 <= found.lowest < found.diverged
    fine = Trainer(net_ := net(), CrossEntropyLoss(), SGD(net_.parameters(), found.lowest)).fit((X, Y), 20, None, 20)
    assert fine[-1]["loss"] < 0.5 * fine[0]["loss"]


@pytest.mark.parametrize("change, text", [
    (dict(optimizer=SGD(Linear(2, 2).parameters(), 0.1)), "lr_range_test: optimizer must hold parameters of net"),
    (dict(optimizer=SGD), "lr_range_test: optimizer must be an optimiser"),
    (dict(lr_max=1e-7), "lr_range_test: lr_max.*above 1e-06, got 1e-07"),
    (dict(batches=[]), "lr_range_test: batches must hold batches"),
    (dict(batches=[(X, Y[:3])]), "lr_range_test: loss"),
    (dict(batches=[(np.full_like(X, np.nan), Y)]), "lr_range_test: loss must be finite at the start"),
])
def test_range_test_refuses(change, text):
    model = net()
    right = dict(net=model, loss=CrossEntropyLoss(), optimizer=SGD(model.parameters(), 0.1), batches=[(X, Y)])
    with pytest.raises((TypeError, ValueError), match=text):
        lr_range_test(**right | change)


def test_update_ratios_are_those_of_the_updates():
    """Of plain gradient descent |change| / |w| = lr |gradient| / |w|."""
    model = Linear(6, 3)
    model.bias.value = np.zeros(3)
    weight = model.weight.value.copy()
    model.forward(X, training=True)
    model.backward(CrossEntropyLoss()(model(X), Y)[1])
    wanted = 0.1 * np.linalg.norm(model.weight.grad) / np.linalg.norm(weight)
    ratios = UpdateRatios()
    history = Trainer(model, CrossEntropyLoss(), SGD(model.parameters(), 0.1), [ratios]).fit([(X, Y)], 2)
    assert list(ratios.ratios) == ["weight"] and ratios.steps == [1, 2]
    assert ratios.ratios["weight"][0] == pytest.approx(wanted, rel=1e-5) == history[0]["update_ratio"]
    assert history[1]["update_ratio"] == ratios.ratios["weight"][1]


def test_ratios_tell_of_a_learning_rate_that_is_ten_times_too_high():
    def verdict(lr):
        model, ratios = net(), UpdateRatios(every=2)
        Trainer(model, CrossEntropyLoss(), SGD(model.parameters(), lr), [ratios]).fit((X, Y), 4, batch_size=20)
        assert ratios.steps == [2, 4, 6, 8, 10, 12] and "0.weight" in str(ratios)
        return ratios.verdict()

    assert "right" in verdict(0.03) and "too high: lower the learning rate" in verdict(0.3)
    assert "too low" in verdict(1e-5) and UpdateRatios().verdict() == "nothing was measured"
