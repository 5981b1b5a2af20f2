"""Averages of weights, the statistics that belong to them, and a rate that waits for the validation."""
import numpy as np
import pytest

import fastnet
from fastnet.training import (
    Callback,
    LearningRateSchedule,
    ReduceLROnPlateau,
    StochasticWeightAverage,
    WeightAverage,
    update_bn,
)

from . import small
from .test_callbacks import Pretend, Snapshots, assert_holds, fit

NORMS = ("1.running_mean", "1.running_var", "1.num_batches_tracked")


@pytest.mark.parametrize("start, every, epochs", [(1, 1, 4), (3, 1, 5), (2, 3, 9), (4, 1, 4)])
def test_swa_is_the_mean_of_the_ends_of_epochs(start, every, epochs):
    swa, ends = StochasticWeightAverage(start, every), Snapshots()
    trainer = fit([swa, ends], epochs=epochs)
    chosen = ends.states[start - 1::every]
    for name, value in trainer.net.state_dict().items():
        if name not in NORMS:
            np.testing.assert_allclose(value, np.mean([state[name] for state in chosen], axis=0, dtype=np.float64),
                                       rtol=1e-6, atol=1e-7, err_msg=name)
    x = [x for x, _ in trainer.train_batches]
    inside = [trainer.net[0](batch) for batch in x]
    np.testing.assert_allclose(trainer.net[1].running_mean, np.mean([y.mean((0, 2, 3)) for y in inside], axis=0),
                               rtol=1e-4, atol=1e-5)
    assert trainer.net[1].num_batches_tracked == len(x) and trainer.net[1].momentum == 0.1
    trainer.net.load_state_dict(swa.last)
    assert_holds(trainer.net, ends.states[-1])
    assert repr(swa) == f"StochasticWeightAverage({start}, every={every})"


def test_a_training_that_ends_before_it_starts_is_left_alone():
    swa, ends = StochasticWeightAverage(3), Snapshots()
    trainer = fit([swa, ends], epochs=2)
    assert swa.last is None
    assert_holds(trainer.net, ends.states[-1])


def test_swa_of_a_net_without_norms():
    net = fastnet.Sequential(fastnet.Flatten(), fastnet.Linear(192, 4))
    swa = StochasticWeightAverage(1)
    small.trainer(net, [swa]).fit(small.batches(), 2)
    assert swa.last is not None


def torch_net(torch):
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
                               torch.nn.Flatten(), torch.nn.Linear(288, 5), torch.nn.BatchNorm1d(5, momentum=None))


def test_torch_agrees_on_statistics():
    torch = pytest.importorskip("torch")
    judge = torch_net(torch)
    net = fastnet.Sequential(fastnet.Conv2d(3, 8, 3, bias=False), fastnet.BatchNorm2d(8), fastnet.ReLU(),
                             fastnet.Flatten(), fastnet.Linear(288, 5), fastnet.BatchNorm1d(5, momentum=None))
    net.load_state_dict(judge.state_dict())
    batches = small.batches()
    net.forward(batches[0][0], training=True)   # statistics of long ago
    torch.optim.swa_utils.update_bn([(torch.tensor(x), torch.tensor(y)) for x, y in batches], judge)
    update_bn(net, batches)
    for name, value in judge.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[name], value.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
    assert (net[1].momentum, net[5].momentum) == (0.1, None) and net.saved is None
    by_itself = net.state_dict()
    update_bn(net, (x for x, _ in batches))     # x alone, from a generator
    assert_holds(net, by_itself)


def test_frozen_norms_are_left_alone():
    net = small.net()
    fastnet.freeze(net, "1")
    net[1].running_mean = np.full(8, 3.0, np.float32)
    update_bn(net, small.batches())
    assert (net[1].running_mean == 3).all() and net[1].num_batches_tracked == 0


@pytest.mark.parametrize("batches, error, message", [
    (lambda: [*small.batches(), (np.zeros((2, 5, 8, 8), np.float32), None)], ValueError, "expected 3 input channels"),
    (lambda: [*small.batches(), (3, None)], TypeError, "update_bn: batches: the x of a batch must be a NumPy array"),
    (lambda: iter([]), ValueError, "update_bn: batches must hold batches, got no batch"),
    (lambda: "batches", TypeError, "update_bn: batches must be batches, arrays x or pairs .*, got 'batches'"),
])
def test_what_fails_leaves_the_statistics(batches, error, message):
    net = small.net()
    small.trainer(net).fit(small.batches(), 1)
    before = net.state_dict()
    with pytest.raises(error, match=message):
        update_bn(net, batches())
    assert_holds(net, before)
    assert net[1].momentum == 0.1


def rates(values, monitor="val_loss", epochs=None, **options):
    """The rate of each epoch where validation gives these values."""
    seen = []
    watch = Callback()
    watch.on_epoch_end = lambda trainer: seen.append(trainer.lr)
    fit([Pretend(monitor, values), ReduceLROnPlateau(monitor, **options), watch], epochs=epochs or len(values))
    return seen


@pytest.mark.parametrize("seed", range(8))
def test_torch_agrees_on_plateaus(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    monitor = ("val_loss", "val_accuracy", "loss", "accuracy")[seed % 4]
    values = (1 + rng.normal(0, 0.3, 40) - 0.02 * np.arange(40) * (1 if seed % 2 == 0 else -1)).tolist()
    values[seed + 3] = float("nan")
    options = {"factor": rng.choice([0.1, 0.5]), "patience": int(rng.integers(0, 4)),
               "threshold": rng.choice([0.0, 1e-4, 0.2]), "threshold_mode": ("rel", "abs")[seed // 4],
               "cooldown": int(rng.integers(0, 4)), "min_lr": rng.choice([0.0, 1e-3]), "eps": rng.choice([1e-8, 1e-3])}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05)
    judge = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max" if "acc" in monitor else "min", **options)
    expected = []
    for value in values:
        judge.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates(values, monitor, **options), expected, rtol=1e-12)
    assert len(set(expected)) > 1


def test_plateau_by_hand():
    assert rates([3, 2, 2, 2, 2, 1], factor=0.5, patience=1) == [0.05, 0.05, 0.05, 0.025, 0.025, 0.025]
    assert rates([1, 1, 1, 1], factor=0.5, patience=0, cooldown=1) == [0.05, 0.025, 0.025, 0.0125]
    assert rates([1, 1, 1], factor=0.1, patience=0, min_lr=0.03) == [0.05, 0.03, 0.03]


def test_plateau_goes_on_with_its_trainer_and_begins_anew_with_another():
    plateau = ReduceLROnPlateau("loss", 0.5, 1, cooldown=1)
    trainer = small.trainer(small.net(), [Pretend("loss", [1.0] * 9), plateau])
    trainer.fit(small.batches(), 2)
    assert trainer.lr == 0.05
    trainer.fit(small.batches(), 1)
    assert trainer.lr == 0.025
    trainer.fit(small.batches(), 3)
    assert trainer.lr == 0.0125
    other = small.trainer(small.net(), [Pretend("loss", [2.0] * 3), plateau])
    other.fit(small.batches(), 2)
    assert other.lr == 0.05 and plateau.best == 2
    assert repr(plateau).startswith("ReduceLROnPlateau(monitor='loss', factor=0.5, patience=1, threshold=0.0001, ")


@pytest.mark.parametrize("make, message", [
    (lambda: [ReduceLROnPlateau(factor=1.0)], "ReduceLROnPlateau: factor must be .* at least 0 and below 1, got 1.0"),
    (lambda: [ReduceLROnPlateau(patience=-1)], "ReduceLROnPlateau: patience must be an integer of at least 0, got -1"),
    (lambda: [ReduceLROnPlateau(threshold_mode="x")], "ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs'"),
    (lambda: [ReduceLROnPlateau("val_f1")], "ReduceLROnPlateau: monitor must be 'loss', .* got 'val_f1'"),
    (lambda: [ReduceLROnPlateau()], "ReduceLROnPlateau: watches val_loss, but fit was given no validation"),
    (lambda: [ReduceLROnPlateau("loss"), LearningRateSchedule(lambda step: 0.1)], "callbacks has a LearningRateSched"),
    (lambda: [StochasticWeightAverage(0)], "StochasticWeightAverage: start must be an integer of at least 1, got 0"),
    (lambda: [StochasticWeightAverage(1, 0)], "StochasticWeightAverage: every must be an integer of at least 1, got 0"),
])
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        fit(make(), validation=False)


def test_several_averages_do_not_meet():
    first, second, ends = WeightAverage(0.5), StochasticWeightAverage(1), Snapshots()
    trainer = fit([first, second, ends], epochs=2)
    for name, value in ends.states[-1].items():
        np.testing.assert_array_equal(first.last[name], value)
    assert (trainer.net[0].weight.value != first.last["0.weight"]).any()
