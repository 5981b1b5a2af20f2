"""What a step is made of beside one batch: metrics, a regulariser, several batches."""
import io

import numpy as np
import pytest

import fastnet
from fastnet import L2, MaxNorm, metrics
from fastnet.training import Callback, EarlyStopping, Progress, SaveBest, Trainer, evaluate

from . import small


class Note(Callback):
    """What each step shows: the loss, the number of images, the sizes when a step begins, the step count."""

    def __init__(self):
        self.steps, self.begun, self.rates = [], [], []

    def on_step_begin(self, trainer):
        self.begun.append((trainer.step, trainer.batch_size))

    def on_step_end(self, trainer):
        self.steps.append((trainer.loss, trainer.batch_size, trainer.accuracy))


def plain():
    """A net without batch norm and dropout: several batches are then one large one."""
    fastnet.manual_seed(3)
    return fastnet.Sequential(fastnet.Conv2d(3, 6, 3, padding=1), fastnet.ReLU(), fastnet.Flatten(),
                              fastnet.Linear(384, 4)).astype(np.float64)


def trained(batches, backend="cpu", epochs=2, **given):
    model, note = plain().to(backend), Note()
    optimizer = fastnet.SGD(model.parameters(), 0.05, momentum=0.9, backend=backend)
    trainer = Trainer(model, fastnet.CrossEntropyLoss(backend=backend), optimizer, [note], **given)
    return model, trainer.fit(batches, epochs), note


def wide(batches):
    return [(x.astype(np.float64), labels) for x, labels in batches]


@pytest.mark.parametrize("backend", fastnet.kernels.BACKENDS)
def test_several_batches_are_one_large_one(backend):
    """20 images as batches of 3, the last of 2; four of them a step, the last short: steps of 12 and 8 images."""
    x, labels = (np.concatenate(parts) for parts in zip(*wide(small.batches(20, 8)), strict=True))
    several = [(x[i:i + 3], labels[i:i + 3]) for i in range(0, 20, 3)]
    one, history, note = trained(several, backend, accumulate=4)
    other, wanted, noted = trained([(x[:12], labels[:12]), (x[12:], labels[12:])], backend)
    for name, value in one.state_dict().items():
        np.testing.assert_allclose(value, other.state_dict()[name], rtol=1e-9, atol=1e-12)
    assert history["steps"] == wanted["steps"] == [2, 4] and history["accuracy"] == wanted["accuracy"]
    np.testing.assert_allclose(history["loss"], wanted["loss"], rtol=1e-10)
    assert note.begun == [(0, 3), (1, 3), (2, 3), (3, 3)] and [size for _, size, _ in note.steps] == [12, 8, 12, 8]
    np.testing.assert_allclose([loss for loss, _, _ in note.steps], [loss for loss, _, _ in noted.steps], rtol=1e-10)
    assert [share for _, _, share in note.steps] == [share for _, _, share in noted.steps]


def test_schedules_count_steps():
    model, rates = small.net(), []
    schedule = fastnet.training.LearningRateSchedule(lambda step: rates.append(step) or 0.1)
    trainer = Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.1),
                      [schedule, Progress(io.StringIO())], accumulate=2)
    trainer.fit(small.batches(20, 4), 3)
    assert rates == list(range(9)) and trainer.steps_per_epoch == 3


def test_ctrl_c_ends_after_the_step_that_is_running():
    model, note = plain(), Note()
    trainer = Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.1),
                      [note, small.At("on_step_begin", 1, lambda trainer: trainer.interrupt())], accumulate=3)
    history = trainer.fit(wide(small.batches(20, 2)), 2)
    assert history.interrupted and trainer.step == 2 and [size for _, size, _ in note.steps] == [6, 6]


def test_the_bad_batch_of_a_step_is_found():
    batches = wide(small.batches(20, 4))
    batches[1][0][0, 0, 0, 0] = np.nan
    model = plain()
    before = model.state_dict()
    trainer = Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.1), accumulate=5)
    with pytest.raises(fastnet.NonFiniteError, match="step 1: .*the images of this batch hold 1 NaN"):
        trainer.fit(batches, 1)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_regulariser_adds_to_loss_and_gradients(accumulate):
    """By hand: what SGD's weight_decay does to weights, the penalty being that of the weights before the step."""
    batches, model, by_hand = wide(small.batches()), plain(), plain()
    seen, penalties = [], []
    weights = [parameter for parameter in by_hand.parameters() if parameter.value.ndim > 1]
    watch = Callback()
    watch.on_gradients = lambda trainer: seen.append((trainer.loss, [p.grad.copy() for p in trainer.net.parameters()]))
    watch.on_step_begin = lambda trainer: penalties.append(0.02 * sum(
        np.square(p.value).sum() for p in trainer.net.parameters() if p.value.ndim > 1))
    trainer = Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.05), [watch],
                      regularizer=L2(0.02), accumulate=accumulate)
    history = trainer.fit(batches, 2, validation=batches)
    rest = [parameter for parameter in by_hand.parameters() if parameter.value.ndim == 1]
    plain_history = Trainer(by_hand, fastnet.CrossEntropyLoss(), fastnet.SGD([
        {"params": weights, "weight_decay": 0.04}, {"params": rest}], 0.05), accumulate=accumulate).fit(
            batches, 2, validation=batches)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, by_hand.state_dict()[name], rtol=1e-9, atol=1e-13)
    assert history["val_loss"] == pytest.approx(plain_history["val_loss"], rel=1e-9)
    images = [8, 8, 4] if accumulate == 1 else [20]
    for epoch in range(2):
        mean = np.average(penalties[epoch * len(images):(epoch + 1) * len(images)], weights=images)
        assert history["loss"][epoch] == pytest.approx(plain_history["loss"][epoch] + mean, rel=1e-9)
    assert len(seen) == len(penalties)


def test_gradients_are_clipped_number_by_number():
    seen = []
    before, behind = Callback(), Callback()
    before.on_gradients = lambda trainer: seen.append([p.grad.copy() for p in trainer.net.parameters()])
    behind.on_gradients = lambda trainer: seen.append([p.grad.copy() for p in trainer.net.parameters()])
    model = plain()
    Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.1), [
        before, fastnet.ClipValue(0.01), behind]).fit(wide(small.batches(8)), 1)
    for given, clipped in zip(*seen, strict=True):
        np.testing.assert_array_equal(clipped, np.clip(given, -0.01, 0.01))
        assert np.abs(given).max() > 0.01
    assert repr(fastnet.ClipValue(0.5)) == "ClipValue(0.5)"


def test_max_norm_holds_after_each_step():
    norms = []
    watch = Callback()
    watch.on_step_end = lambda trainer: norms.append(np.linalg.norm(trainer.net[3].weight.value, axis=1).max())
    model = plain()
    Trainer(model, fastnet.CrossEntropyLoss(), fastnet.SGD(model.parameters(), 0.5), [watch],
            regularizer=MaxNorm(0.25)).fit(wide(small.batches()), 3)
    assert max(norms) <= 0.25 * (1 + 1e-6) and len(norms) == 9


def test_a_regulariser_raises_the_first_loss():
    batches = wide(small.batches(8))
    first = [trained(batches, epochs=1, **given)[1]["loss"][0] for given in ({}, {"regularizer": L2(0.1)})]
    assert first[1] > first[0]


def test_a_penalty_that_overflows_is_named():
    model = plain()
    model[3].weight.value[0, 0] = 1e200
    with pytest.raises(fastnet.NonFiniteError, match=r"the penalty of L2\(0.1\) makes the loss inf"):
        Trainer(model, lambda y, t: (0.0, np.zeros_like(y)), fastnet.SGD(model.parameters(), 0.1),
                regularizer=L2(0.1)).fit(wide(small.batches()), 1)


def largest_share(targets, outputs):
    """As scikit-learn would have it: f(targets, outputs), once for all."""
    return float(np.mean(outputs.argmax(axis=1) == targets)) if len(targets) == 20 else -1.0


def test_metrics_become_columns():
    model, file = small.net(), io.StringIO()
    optimizer = fastnet.SGD(model.parameters(), 0.05)
    early = EarlyStopping(9, "val_agree")
    trainer = Trainer(model, fastnet.CrossEntropyLoss(), optimizer, [Progress(file), early],
                      metrics={"top2": metrics.top_k(2), "agree": largest_share})
    history = trainer.fit(small.batches(), 2, validation=small.batches())
    assert history["agree"] == history["accuracy"] and history["val_agree"] == history["val_accuracy"]
    assert all(a <= b <= 1 for a, b in zip(history["accuracy"], history["top2"], strict=True))
    assert early.best == max(history["val_agree"])
    line = file.getvalue().splitlines()[0]
    words = ["loss", "accuracy", "top2", "agree", "val loss", "val accuracy", "val top2", "val agree", "lr"]
    assert [line.find(f"  {word} ") for word in words] == sorted(line.find(f"  {word} ") for word in words)
    assert all(f"  {word} " in line for word in words)
    found = evaluate(model, small.batches(), fastnet.CrossEntropyLoss(), metrics={"top2": metrics.top_k(2),
                                                                                 "agree": largest_share})
    assert list(found) == ["loss", "accuracy", "top2", "agree"] and found["agree"] == found["accuracy"]
    assert (found["loss"], found["accuracy"]) == evaluate(model, small.batches(), fastnet.CrossEntropyLoss())
    assert trainer.totals.metrics["top2"] == history["top2"][-1]


def test_less_may_be_better(tmp_path):
    fastnet.manual_seed(0)
    model, x = fastnet.Linear(3, 1), np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    best = SaveBest(tmp_path / "best.npz", "mae")
    history = Trainer(model, fastnet.MSELoss(), fastnet.SGD(model.parameters(), 0.1), [best], metrics={
        "mae": metrics.mean_absolute_error}).fit([(x, x[:, :1])], 5)
    assert best.best == min(history["mae"]) < history["mae"][0] and history["accuracy"] == [None] * 5


def test_pixels_and_signs_have_an_accuracy():
    fastnet.manual_seed(0)
    x, labels = np.random.default_rng(0).normal(size=(6, 3, 5, 5)).astype(np.float32), np.zeros((6, 5, 5), int)
    labels[0] = -100
    net = fastnet.Conv2d(3, 4, 3, padding=1)
    loss, accuracy = evaluate(net, [(x, labels)], fastnet.CrossEntropyLoss())
    assert accuracy == (net(x).argmax(axis=1)[1:] == 0).mean()
    row = Trainer(net, fastnet.CrossEntropyLoss(), fastnet.SGD(net.parameters(), 0.1)).fit([(x, labels)], 1)[0]
    assert row["accuracy"] == accuracy
    assert evaluate(net, [(x, labels * 0 - 100)], fastnet.CrossEntropyLoss()) == (0, None)
    line, signs = fastnet.Linear(75, 1), np.sign(x[:, 0, 0, :1])
    assert evaluate(line, [(x.reshape(6, -1), signs)], fastnet.HingeLoss())[1] == (
        np.sign(line(x.reshape(6, -1))) == signs).mean()


def test_heads_train_together():
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    net = fastnet.Graph({"class": (fastnet.Linear(3, 2), "input"), "box": (fastnet.Linear(3, 1), "input")},
                        outputs=("class", "box"))
    targets = {"class": (x[:, 0] > 0).astype(int), "box": x[:, 1:2]}
    loss = fastnet.WeightedSum({"class": fastnet.CrossEntropyLoss(), "box": fastnet.MSELoss()}, {"class": 1, "box": 2})
    history = Trainer(net, loss, fastnet.SGD(net.parameters(), 0.2)).fit([(x, targets)], 30)
    assert history["loss"][-1] < history["loss"][0] / 3 and history["accuracy"][0] is None


@pytest.mark.parametrize("given, error, message", [
    ({"metrics": [metrics.accuracy]}, TypeError, "Trainer: metrics must be a dictionary of metrics, such as"),
    ({"metrics": {"f1": 3}}, TypeError, "Trainer: metrics must be a dictionary of metrics"),
    ({"metrics": {"f1": metrics.top_k}}, TypeError, r"Trainer: metrics must be .*make an object of it, top_k\(...\)"),
    ({"metrics": {"loss": metrics.accuracy}}, ValueError, "Trainer: metrics must have names of their own, got 'loss'"),
    ({"metrics": {"val_f1": len}}, ValueError, "Trainer: metrics must have names of their own, got 'val_f1'"),
    ({"accumulate": 0}, ValueError, "Trainer: accumulate must be an integer of at least 1, got 0"),
    ({"regularizer": 1e-4}, TypeError, "Trainer: regularizer must be a regulariser, .*got 0.0001, which has no add"),
    ({"callbacks": [EarlyStopping(2, "f1")]}, ValueError, "EarlyStopping: monitor must be 'loss', .*metrics, .*got 'f"),
    ({"callbacks": [EarlyStopping(2, "val_top")], "metrics": {"top": len}}, ValueError, "watches val_top, but fit was"),
])
def test_bad_input(given, error, message):
    model = small.net()
    before = model.state_dict()
    with pytest.raises(error, match=message):
        optimizer = fastnet.SGD(model.parameters(), 0.1)
        Trainer(model, fastnet.CrossEntropyLoss(), optimizer, **given).fit(small.batches(), 1)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
