"""Beginnings and ends: on_train_end runs for the callbacks whose on_train_begin came off, and for no other."""
from itertools import product

import numpy as np
import pytest

import fastnet
from fastnet import training
from fastnet.training import Callback, EarlyStopping, SaveBest, WeightAverage

from . import small

# How each callback of the library is made.
CALLBACKS = {
    "ClipValue": lambda folder: training.ClipValue(0.1),
    "CsvLines": lambda folder: training.CsvLines(folder / "table.csv"),
    "EarlyStopping": lambda folder: EarlyStopping(3, "loss"),
    "JsonLines": lambda folder: training.JsonLines(folder / "log"),
    "LearningRateSchedule": lambda folder: training.LearningRateSchedule(fastnet.schedules.cosine(0.1, 10)),
    "Progress": lambda folder: training.Progress(open(folder / "progress", "a")),  # noqa: SIM115
    "ReduceLROnPlateau": lambda folder: training.ReduceLROnPlateau("loss", patience=0),
    "SaveBest": lambda folder: SaveBest(folder / "best.npz", "loss"),
    "SaveCheckpoints": lambda folder: training.SaveCheckpoints(folder / "checkpoints"),
    "SaveCurves": lambda folder: training.SaveCurves(folder / "curves.png"),
    "Snapshots": lambda folder: training.Snapshots(),
    "StochasticWeightAverage": lambda folder: training.StochasticWeightAverage(1),
    "TensorBoard": lambda folder: training.TensorBoard(folder / "board"),
    "WeightAverage": lambda folder: WeightAverage(),
}


def test_no_callback_is_missing():
    known = {name for name in training.__all__ if isinstance(getattr(training, name), type)
             and issubclass(getattr(training, name), Callback)} - {"Callback"}
    assert known == set(CALLBACKS)


class Log(Callback):
    """Notes its beginning and end, and raises where it is told to."""

    def __init__(self, name, log, fails):
        self.name, self.log, self.fails = name, log, fails

    def on_train_begin(self, trainer):
        if "begin" in self.fails:
            raise OSError(f"begin {self.name}")
        self.log.append(f"begin {self.name}")

    def on_epoch_end(self, trainer):
        if "epoch" in self.fails:
            raise OSError(f"epoch {self.name}")

    def on_train_end(self, trainer):
        self.log.append(f"end {self.name}")
        if "end" in self.fails:
            raise OSError(f"end {self.name}")


@pytest.mark.parametrize("fails", list(product(["", "begin", "epoch", "end", "epoch end"], repeat=3)), ids="+".join)
def test_any_that_fail_keep_no_other_from_ending(fails):
    log = []
    callbacks = [Log(name, log, fail) for name, fail in zip("abc", fails, strict=True)]
    begun = [callback.name for callback in callbacks]
    first = next((i for i, fail in enumerate(fails) if "begin" in fail), None)
    errors = []
    if first is not None:
        begun = begun[:first]
        errors.append(f"begin {callbacks[first].name}")
    else:
        errors += [f"epoch {name}" for name, fail in zip("abc", fails, strict=True) if "epoch" in fail][:1]
    errors += [f"end {callback.name}" for callback in callbacks if callback.name in begun and "end" in callback.fails]
    model = fastnet.Linear(1, 2)
    batches = [(np.ones((1, 1), np.float32), np.zeros(1, int))]
    trainer = small.trainer(model, callbacks)
    if errors:
        with pytest.raises(OSError) as caught:
            trainer.fit(batches, 1)
        assert str(caught.value) == errors[0]
        if hasattr(caught.value, "add_note"):   # from Python 3.11 on
            assert getattr(caught.value, "__notes__", []) == [
                f"Log.on_train_end then raised OSError: {error}" for error in errors[1:]]
        else:
            text, error = [], caught.value.__context__
            while error is not None:
                text, error = [*text, str(error)], error.__context__
            assert set(errors[1:]) <= set(text)
    else:
        trainer.fit(batches, 1)
    assert log == [f"begin {name}" for name in begun] + [f"end {name}" for name in begun]


NEEDS = {"SaveCurves": "matplotlib", "TensorBoard": "tensorboardX"}


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("when", ["begin", "epoch", "end"])
@pytest.mark.parametrize("first", [False, True])
def test_the_librarys_callbacks_end_beside_one_that_fails(tmp_path, name, when, first):
    pytest.importorskip(NEEDS.get(name, "numpy"))
    callback = CALLBACKS[name](tmp_path)
    bad = Log("bad", [], when)
    model = small.net()
    trainer = small.trainer(model, [bad, callback] if first else [callback, bad])
    with pytest.raises(OSError, match=f"^{when} bad$") as caught:
        trainer.fit(small.batches(4), 1)
    assert not getattr(caught.value, "__notes__", [])
    trainer.callbacks.remove(bad)
    trainer.fit(small.batches(4), 1)    # nothing is left of the training before
    if name == "Progress":
        callback.file.close()


def test_a_callback_that_cannot_begin_does_not_end():
    model = small.net()
    trainer = small.trainer(model, [SaveBest("/no/such/folder/x.npz", "loss"), WeightAverage()])
    with pytest.raises(FileNotFoundError, match="^SaveBest: /no/such/folder is no folder") as caught:
        trainer.fit(small.batches(4), 1)
    assert caught.value.__context__ is None and not getattr(caught.value, "__notes__", [])


def test_keyboard_interrupts_of_ends_are_not_lost():
    class Impatient(Callback):
        def on_train_end(self, trainer):
            raise KeyboardInterrupt

    log = []
    trainer = small.trainer(small.net(), [Impatient(), Log("after", log, "")])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(small.batches(4), 1)
    assert log == ["begin after", "end after"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_best_weights_are_those_that_were_measured(tmp_path, place):
    """Wherever the callback stands that changes them, in the same hook, and whoever fails at the end."""
    class Spoil(Callback):
        def on_epoch_end(self, trainer):
            measured.append(trainer.measured)
            if trainer.epoch == 2:
                trainer.net[0].weight.value[:] = 100

    class Bad(Callback):
        def on_train_end(self, trainer):
            raise OSError("disk full")

    measured = []
    fastnet.manual_seed(0)
    model = fastnet.Sequential(fastnet.Linear(1, 2))
    early, save = EarlyStopping(9, "loss"), SaveBest(tmp_path / "best.npz", "loss")
    callbacks = [early, save]
    callbacks.insert(place, Spoil())
    trainer = fastnet.Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.1),
                              [Bad(), *callbacks])
    with pytest.raises(OSError, match="^disk full$"):
        trainer.fit([(np.ones((1, 1), np.float32), np.zeros(1, int))], 2)
    assert early.best_epoch == 2 and len(measured) == 2 and trainer.measured is None
    other = fastnet.Sequential(fastnet.Linear(1, 2))
    fastnet.load_weights(other, tmp_path / "best.npz")
    for state in (model.state_dict(), other.state_dict()):
        for name, value in measured[-1].items():
            np.testing.assert_array_equal(state[name], value)
