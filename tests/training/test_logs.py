"""Files and lines that tell of a training while it runs, and the rows that they tell."""
import csv
import io
import json
import sys

import numpy as np
import pytest

import fastnet
from fastnet import plot
from fastnet.training import Callback, CsvLines, History, JsonLines, Progress, SaveCurves, TensorBoard
from fastnet.training import memory as memory_


def trainer(callbacks, **given):
    """A regression by a net without anything that is compiled."""
    net = fastnet.Linear(3, 1).to("naive")
    return fastnet.Trainer(net, fastnet.MSELoss(backend="naive"),
                           fastnet.SGD(net.parameters(), 0.1, backend="naive"), callbacks, **given)


X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
BATCHES = [(X[:5], X[:5, :1]), (X[5:], X[5:, :1])]


def test_a_table_of_the_epochs(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old\n")
    one = trainer([CsvLines(path)])
    one.fit(BATCHES, 2)
    one.fit(BATCHES, 1)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(one.history[0]) and [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == one.history["loss"] and rows[0]["val_loss"] == ""
    assert repr(CsvLines("a")) == "CsvLines('a')"


def test_a_table_takes_new_columns(tmp_path):
    class More(Callback):
        def on_epoch_end(self, trainer):
            if trainer.epoch > 1:
                trainer.history.rows[-1]["a, b"] = 'say "x"'

    path = tmp_path / "table.csv"
    trainer([More(), CsvLines(path)]).fit(BATCHES, 3)
    with open(path, newline="") as file:
        assert [row["a, b"] for row in csv.DictReader(file)] == ["", 'say "x"', 'say "x"']


def test_lines_go_on_where_the_trainer_does(tmp_path):
    """And what was written behind the checkpoint is made once more."""
    path = tmp_path / "log"
    one = trainer([JsonLines(path)])
    one.fit(BATCHES, 2)
    state = one.state_dict()
    one.fit(BATCHES, 2)
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]
    other = trainer([JsonLines(path)])
    other.load_state_dict(state)
    other.fit(BATCHES, 1)
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [1, 2, 3]
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == other.history["loss"]


def test_curves_are_redrawn(tmp_path):
    pytest.importorskip("matplotlib")
    path, sizes = tmp_path / "curves.png", []
    watch = Callback()
    watch.on_epoch_end = lambda trainer: sizes.append(path.read_bytes()[:4])
    trainer([SaveCurves(path, ["loss", "mae", "accuracy"]), watch]).fit(BATCHES, 3, validation=BATCHES)
    assert sizes == [b"\x89PNG"] * 3 and list(tmp_path.iterdir()) == [path]
    trainer([SaveCurves(tmp_path / "nothing.svg", ["accuracy"])]).fit(BATCHES, 1)
    assert not (tmp_path / "nothing.svg").exists()
    with pytest.raises(ValueError, match="SaveCurves: path must end with .png, .svg or .pdf, got 'a.gif'"):
        SaveCurves("a.gif")


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    one = trainer([TensorBoard(tmp_path, every=2)])
    one.fit(BATCHES, 2)
    one.fit(BATCHES, 1)
    found = {}
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        while data:     # a length, its sum, an event, its sum
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12:12 + length])
            data = data[16 + length:]
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    assert list(found["step/loss"]) == [2, 4, 6] and list(found["epoch/loss"]) == [2, 4, 6]
    np.testing.assert_allclose(list(found["epoch/mae"].values()), one.history["mae"], rtol=1e-6)
    np.testing.assert_allclose(list(found["step/loss"].values()), one.history.by_step["loss"][1::2], rtol=1e-6)
    assert {"step/lr", "epoch/memory", "epoch/images_per_second"} <= set(found) and "epoch/val_loss" not in found


@pytest.mark.parametrize("make, module, extra", [(lambda: TensorBoard("board"), "tensorboardX", "tensorboard"),
                                                 (lambda: SaveCurves("a.png"), "matplotlib.figure", "plot")])
def test_what_is_missing_is_named_before_training(make, module, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    one = trainer([make()])
    with pytest.raises(ImportError, match=rf"pip install \"fastnet-numba\[{extra}\]\""):
        one.fit(BATCHES, 1)
    assert one.step == 0


def test_progress_tells_within_a_long_epoch(monkeypatch):
    """A line each 30 seconds of a clock that goes on by 7 at each look."""
    clock = iter(range(0, 10**6, 7))
    monkeypatch.setattr("fastnet.training.callbacks.progress.perf_counter", lambda: float(next(clock)))
    file = io.StringIO()
    trainer([Progress(file)]).fit(BATCHES * 10, 2)
    lines = file.getvalue().splitlines()
    within = [line for line in lines if "step" in line]
    assert 4 <= len(within) < 36 and sum(line.startswith("epoch   2  loss") for line in lines) == 1
    assert all(word in within[1] for word in ("epoch   1  step ", " of 20  loss ", "images/s", " left"))
    file = io.StringIO()
    trainer([Progress(file, every=1e9)]).fit(BATCHES * 10, 1)
    assert len(file.getvalue().splitlines()) == 1 and repr(Progress(every=2)) == "Progress(every=2)"


class Endless:
    """Batches again and again, and nobody knows how many."""

    def __iter__(self):
        yield from BATCHES


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_batches_may_have_no_length(stream):
    file = stream()
    one, other = trainer([Progress(file)]), trainer([])
    other.net.load_state_dict(one.net.state_dict())
    history = one.fit(Endless(), 2)
    assert history["steps"] == [2, 4] and one.steps_per_epoch is None
    assert history["loss"] == other.fit(BATCHES, 2)["loss"]
    assert "left" not in file.getvalue() and "epoch   2" in file.getvalue()


def test_batches_that_run_out_are_named():
    class Once:
        def __init__(self):
            self.left = iter(BATCHES)

        def __iter__(self):
            return iter(list(self.left))

    with pytest.raises(ValueError, match="fit: train_batches must hold batches, got no batch in epoch 2"):
        trainer([]).fit(Once(), 2)
    with pytest.raises(TypeError, match=r"iterated only once \(generator\): give a list of its batches, or an object"):
        trainer([]).fit((batch for batch in BATCHES), 1)


def test_each_step_has_a_row(tmp_path):
    rates = fastnet.LearningRateSchedule(lambda step: 0.1 / (step + 1))
    one = trainer([rates], accumulate=1)
    history = one.fit(BATCHES, 2)
    steps = history.by_step
    assert len(steps) == 4 and steps["step"] == [1, 2, 3, 4] and steps["epoch"] == [1, 1, 2, 2]
    assert steps["lr"] == [0.1, 0.05, 0.1 / 3, 0.025] and steps["accuracy"] == [None] * 4
    assert history["loss"][1] == pytest.approx((5 * steps[2]["loss"] + 7 * steps[-1]["loss"]) / 12)
    assert steps[1:3] == [steps[1], steps[2]] == list(steps)[1:3] and repr(steps) == "Steps(4 steps)"
    part = history[1:]
    assert part.by_step["step"] == [3, 4] and len(History(history.rows, by_step=steps).by_step) == 4
    for key, error in (("los", KeyError), (4, IndexError), (0.5, TypeError)):
        with pytest.raises(error, match="Steps: "):
            steps[key]
    with pytest.raises((TypeError, ValueError), match="History: a row of by_step"):
        History([], by_step=[{"step": 1}])
    pytest.importorskip("matplotlib").use("Agg")
    ax = plot.curves(steps, "loss", "lr")
    assert ax.get_xlabel() == "step"
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata(), list(zip(steps["step"], steps["loss"], strict=True)))


def test_numbers_are_watched_by_their_distance():
    one = trainer([])
    y = one.net(X)
    history = one.fit([(X, X[:, :1])], 1, validation=BATCHES)
    assert history["mae"] == [pytest.approx(np.abs(y - X[:, :1]).mean(), rel=1e-5)]
    assert history["val_mae"][0] == pytest.approx(np.abs(one.net(X) - X[:, :1]).mean(), rel=1e-5)
    assert "mae" not in trainer([], metrics={}).fit(BATCHES, 1)[0] and "mae" in repr(history)

    class Own(fastnet.losses.Loss):
        def __call__(self, outputs, targets):
            return 1.0, outputs

    one.loss_function = Own()
    assert one.fit([(X, ["a"] * 12)], 1)[-1]["mae"] is None


@pytest.mark.parametrize("labels, loss, rule", [
    (np.arange(12) % 2, fastnet.CrossEntropyLoss, lambda y: y.argmax(axis=1)),
    ((np.arange(12) % 2)[:, None].astype(np.float32), fastnet.BCEWithLogitsLoss, lambda y: y > 0),
    (np.arange(12)[:, None] % 2 * 2 - 1.0, fastnet.HingeLoss, lambda y: np.where(y > 0, 1, -1)),
])
def test_tasks_are_known_by_their_loss(labels, loss, rule):
    net = fastnet.Linear(3, 2 if labels.ndim == 1 else 1).to("naive")
    expected = (rule(net(X)) == labels).mean()
    row = fastnet.Trainer(net, loss(backend="naive"), fastnet.SGD(net.parameters(), 0.1, backend="naive")).fit(
        (X, labels), 1, batch_size=12)[0]
    assert row["accuracy"] == expected and "mae" not in row


def test_memory_is_told_in_mebibytes(monkeypatch):
    found = memory_.resident()
    assert 20 < found < 1e6

    def refuse(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)
    assert memory_.resident() is None or 0.5 * found < memory_.resident() < 1e6
    monkeypatch.undo()
    assert trainer([]).fit(BATCHES, 1)["memory"][0] > 20


def test_all_of_them_stand_side_by_side(tmp_path):
    """Together, and again for one that goes on."""
    pytest.importorskip("matplotlib"), pytest.importorskip("tensorboardX")
    logs = [CsvLines(tmp_path / "a.csv"), JsonLines(tmp_path / "a.jsonl"), TensorBoard(tmp_path / "board"),
            SaveCurves(tmp_path / "a.png"), fastnet.SaveCheckpoints(tmp_path / "checkpoints")]
    one = trainer(logs)
    one.fit(BATCHES, 2, validation=BATCHES)
    other = trainer([*logs[:4], fastnet.SaveCheckpoints(tmp_path / "checkpoints")])
    history = other.fit(BATCHES, 2, validation=BATCHES, resume=tmp_path / "checkpoints")
    assert history["loss"] == one.history["loss"] and len((tmp_path / "a.csv").read_text().splitlines()) == 3
