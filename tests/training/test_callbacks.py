"""The callbacks that come with the library."""
import io
import json
import math
import sys
from contextlib import nullcontext

import numpy as np
import pytest

import fastnet
from fastnet.training import Callback, EarlyStopping, JsonLines, LearningRateSchedule, Progress, SaveBest, WeightAverage

from . import small


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Pretend(Callback):
    """Writes given values into a column of the history, before the callbacks after it look."""

    def __init__(self, column, values):
        self.column, self.values = column, values

    def on_epoch_end(self, trainer):
        trainer.history.rows[-1][self.column] = self.values[trainer.epoch - 1]


class Snapshots(Callback):
    """Keeps the weights of every epoch."""

    def __init__(self):
        self.states = []

    def on_epoch_end(self, trainer):
        self.states.append(trainer.net.state_dict())


def fit(callbacks, epochs=4, validation=True):
    trainer = small.trainer(small.net(), callbacks)
    trainer.fit(small.batches(), epochs, validation=small.batches(4, seed=9) if validation else None)
    return trainer


def assert_holds(net, state):
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)


def test_schedule_sets_the_rate_of_each_step():
    seen = []
    watch = Callback()
    watch.on_step_end = lambda trainer: seen.append(trainer.lr)
    trainer = fit([LearningRateSchedule(lambda step: 0.1 / (step + 1)), watch], epochs=2)
    assert seen == [0.1 / (step + 1) for step in range(6)]
    assert trainer.history["lr"] == [0.1 / 3, 0.1 / 6]
    with pytest.raises(TypeError, match="LearningRateSchedule: schedule must be a function of the step, .*, got 0.1"):
        LearningRateSchedule(0.1)


def test_progress_writes_one_line_an_epoch_into_a_file():
    file = io.StringIO()
    fit([Progress(file)], epochs=3)
    lines = file.getvalue().splitlines()
    assert len(lines) == 3 and "\r" not in file.getvalue()
    assert lines[0].startswith("epoch   1  loss ") and lines[2].endswith("00:00 left")
    for word in ("accuracy", "val loss", "val accuracy", "lr 0.05", "images/s"):
        assert word in lines[1]


def test_progress_moves_a_bar_in_a_terminal():
    file = Terminal()
    fit([Progress(file)], epochs=2)
    text = file.getvalue()
    assert "epoch 1/2" in text and "epoch 2/2" in text and "3/3" not in text.splitlines()[-1]
    assert text.splitlines()[-1].split("\r")[-1].startswith("epoch   2  loss ")


def test_progress_says_why_training_ended():
    for action, expected in [(lambda trainer: setattr(trainer, "stop", True), "stopped after epoch 2 of 4"),
                             (lambda trainer: trainer.interrupt(), "interrupted in epoch 2 of 4, after 5 steps")]:
        file = io.StringIO()
        fit([Progress(file), small.At("on_step_end", 5, action)])
        assert file.getvalue().splitlines()[-1] == expected


def test_progress_without_a_terminal_says_nothing(monkeypatch, capfd):
    monkeypatch.setattr(sys, "stderr", None)
    fit([Progress()], epochs=1)
    assert capfd.readouterr() == ("", "")


def test_progress_takes_any_stream():
    class Lines(list):
        write = list.append

    lines = Lines()
    fit([Progress(lines)], epochs=2)
    assert sum(line.startswith("epoch ") for line in lines) == 2


def test_a_rate_that_is_none_is_refused_with_its_step():
    with pytest.raises(ValueError, match="LearningRateSchedule: the rate of step 3 must be a finite number of at lea"):
        fit([LearningRateSchedule(lambda step: 0.1 if step < 3 else math.nan)])


def test_the_mean_of_very_many_weights_keeps_single_precision():
    """Changes as small as a hundred-thousandth of the mean are lost where float32 is added up."""
    net = fastnet.Linear(1, 1, bias=False)
    trainer = small.trainer(net)
    average = WeightAverage(decay=1)
    average.on_train_begin(trainer)
    steps = 20_000
    for trainer.step in range(1, steps + 1):
        net.weight.value[:] = 1000 + (trainer.step % 2)
        average.on_step_end(trainer)
    average.on_train_end(trainer)
    np.testing.assert_allclose(net.weight.value, 1000.5, rtol=1e-7)


def test_json_lines_are_the_history(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text("something old\n")
    trainer = fit([Pretend("val_loss", [1.0, math.nan, math.inf]), JsonLines(path)], epochs=3)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    rows = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
    assert [row.pop("val_loss") for row in rows] == [1.0, None, None]
    for row, told in zip(rows, trainer.history.rows, strict=True):
        assert {**row, "val_loss": told["val_loss"]} == told


def test_json_lines_hold_each_epoch_as_soon_as_it_is_over(tmp_path):
    path, lengths = tmp_path / "history.jsonl", []
    watch = Callback()
    watch.on_epoch_end = lambda trainer: lengths.append(len(path.read_text().splitlines()))
    fit([JsonLines(path), watch], epochs=3)
    assert lengths == [1, 2, 3]


def test_weight_average_is_the_running_mean():
    class Steps(Snapshots):
        def on_step_end(self, trainer):
            self.states.append(trainer.net.state_dict())

        def on_epoch_end(self, trainer):
            pass

    for decay, every in ((1, 1), (0.6, 2), (0, 3)):
        steps, average = Steps(), WeightAverage(decay, every)
        trainer = fit([average, steps], epochs=3)  # nine steps
        chosen = steps.states[every - 1::every]
        for name, value in trainer.net.state_dict().items():
            mean = chosen[0][name].astype(np.float64)
            for t, state in enumerate(chosen):
                keep = min(decay, t / (t + 1))
                mean = keep * mean + (1 - keep) * state[name]
            if value.dtype.kind != "f":
                mean = chosen[-1][name]
            np.testing.assert_allclose(value, mean, rtol=1e-5, atol=1e-6, err_msg=name)
        trainer.net.load_state_dict(average.last)
        assert_holds(trainer.net, steps.states[-1])


def test_weight_average_without_a_step_changes_nothing():
    average = WeightAverage(every=5)
    trainer = fit([average, snapshots := Snapshots()], epochs=1)
    assert average.last is None
    assert_holds(trainer.net, snapshots.states[-1])


@pytest.mark.parametrize("column, values, epochs, best", [
    ("val_loss", [3.0, 1.0, 2.0, 1.5, 0.5], 4, 2),
    ("val_accuracy", [0.5, 0.7, 0.7, 0.6, 0.9], 4, 2),
    ("loss", [math.nan, 2.0, math.nan, 3.0, 0.0], 4, 2),
    ("val_loss", [math.nan, math.nan, 1.0, 1.0, 1.0], 2, None),
    ("val_loss", [5.0, 4.0, 3.0, 2.0, 1.0], 5, 5),
])
def test_early_stopping_restores_the_best_weights(column, values, epochs, best):
    snapshots, early = Snapshots(), EarlyStopping(patience=2, monitor=column)
    trainer = fit([Pretend(column, values), snapshots, early], epochs=5)
    assert len(trainer.history) == epochs and early.best_epoch == best
    assert_holds(trainer.net, snapshots.states[(best or epochs) - 1])


def test_early_stopping_wants_more_than_min_delta():
    early = EarlyStopping(patience=2, min_delta=0.1)
    trainer = fit([Pretend("val_loss", [1.0, 0.95, 0.91, 0.1]), early])
    assert len(trainer.history) == 3 and (early.best, early.best_epoch) == (1.0, 1)


@pytest.mark.parametrize("ending, outcome", [(fastnet.Trainer.interrupt, nullcontext()),
                                             (lambda trainer: 1 / 0, pytest.raises(ZeroDivisionError))])
def test_early_stopping_restores_however_training_ends(ending, outcome):
    snapshots, early = Snapshots(), EarlyStopping(patience=9)
    trainer = small.trainer(small.net(), [Pretend("val_loss", [1.0, 2.0, 3.0]), snapshots, early,
                                          small.At("on_step_end", 5, ending)])
    with outcome:
        assert trainer.fit(small.batches(), 3, validation=small.batches(4)).interrupted
    assert_holds(trainer.net, snapshots.states[0])


@pytest.mark.filterwarnings("error")
def test_save_best_writes_when_it_is_better(tmp_path):
    path, snapshots, saved = tmp_path / "best.npz", Snapshots(), []
    watch = Callback()
    watch.on_epoch_end = lambda trainer: saved.append(path.stat().st_mtime_ns)
    save = SaveBest(path)
    fit([Pretend("val_loss", [2.0, 3.0, 1.0, 1.0]), snapshots, save, watch])
    assert [a != b for a, b in zip(saved, saved[1:], strict=False)] == [False, True, False]
    assert (save.best, save.best_epoch) == (1.0, 3)
    model = small.net(seed=8)
    fastnet.load_weights(model, path)
    assert_holds(model, snapshots.states[2])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make, validation, error, message", [
    (lambda: EarlyStopping(0), True, ValueError, "EarlyStopping: patience must be an integer of at least 1, got 0"),
    (lambda: EarlyStopping(2, min_delta=-1), True, ValueError, "EarlyStopping: min_delta must be .* of at least 0, go"),
    (lambda: EarlyStopping(2, "f1"), True, ValueError, "EarlyStopping: monitor must be 'loss', .* got 'f1'"),
    (lambda: EarlyStopping(2), False, ValueError, "EarlyStopping: watches val_loss, but fit was given no validation"),
    (lambda: WeightAverage(1.1), True, ValueError, "WeightAverage: decay must be .* and at most 1, got 1.1"),
    (lambda: WeightAverage(every=0), True, ValueError, "WeightAverage: every must be an integer of at least 1, got 0"),
    (lambda: SaveBest("x.npz", "val_accuracy"), False, ValueError, "SaveBest: watches .* or monitor='accuracy'"),
    (lambda: SaveBest("no/such/folder/x.npz"), True, FileNotFoundError, "SaveBest: no/such/folder is no folder"),
])
def test_bad_arguments(make, validation, error, message):
    with pytest.raises(error, match=message):
        fit([make()], validation=validation)


def test_an_accuracy_that_nobody_measures_cannot_be_watched():
    with pytest.raises(ValueError, match="EarlyStopping: there is no accuracy, because the labels are not class num"):
        fit([Pretend("accuracy", [None]), EarlyStopping(2, "accuracy")])
