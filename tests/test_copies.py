"""Copies and pickles of everything that is not a layer: they go on with the same bits, and share nothing."""
import copy
import inspect
import io
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import checks, data, init, losses, metrics, optim, regularizers, schedules, training
from fastnet.data import (
    Augment,
    BalancedSampler,
    DataLoader,
    Dataset,
    DownloadError,
    Normalize,
    SubsetSampler,
    WeightedSampler,
)
from fastnet.training import History, NonFiniteError

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (12, 2, 6, 6), np.uint8), np.arange(12) % 3
LOGITS = RNG.standard_normal((5, 4)).astype(np.float32)
X = np.random.default_rng(5).standard_normal((12, 6)).astype(np.float32)
WAYS = {"deepcopy": copy.deepcopy, **{f"pickle {protocol}": lambda value, protocol=protocol: pickle.loads(
    pickle.dumps(value, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)}}

OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, 0.1, momentum=0.9, nesterov=True, max_norm=1.0),
    "Adam": lambda params: optim.Adam(optim.decay_groups(params), weight_decay=0.1),
    "AdamW": lambda params: optim.AdamW(params, amsgrad=True),
    "NAdam": lambda params: optim.NAdam(params, weight_decay=0.1, decoupled_weight_decay=True),
    "RMSprop": lambda params: optim.RMSprop(params, momentum=0.5, centered=True, eps=1e-3),
    "Adagrad": lambda params: optim.Adagrad(params, lr_decay=0.1, initial_accumulator_value=0.1),
    "Muon": lambda params: optim.Muon([{"params": [p for p in params if p.value.ndim > 1]},
                                       {"params": [p for p in params if p.value.ndim < 2], "orthogonal": False}], 0.02),
}
SHARES = np.abs(LOGITS) / 4
LOSSES = {      # how it is made, outputs and targets
    "CrossEntropyLoss": (lambda: losses.CrossEntropyLoss([1, 2, 3, 4], label_smoothing=0.1), LOGITS, np.arange(5) % 4),
    "NLLLoss": (lambda: losses.NLLLoss([1, 2, 3, 4]), LOGITS, np.arange(5) % 4),
    "FocalLoss": (lambda: losses.FocalLoss(1, [1, 2, 3, 4]), LOGITS, np.arange(5) % 4),
    "MultiMarginLoss": (lambda: losses.MultiMarginLoss(2, weight=[1, 2, 3, 4]), LOGITS, np.arange(5) % 4),
    "EpsilonSoftmaxLoss": (lambda: losses.EpsilonSoftmaxLoss(0.5, 1 - np.eye(4)), LOGITS, np.arange(5) % 4),
    **{name: (make, LOGITS, LOGITS[::-1].copy()) for name, make in {
        "MSELoss": losses.MSELoss, "L1Loss": lambda: losses.L1Loss("sum"), "HuberLoss": losses.HuberLoss,
        "SmoothL1Loss": lambda: losses.SmoothL1Loss(beta=0.5)}.items()},
    "BCELoss": (lambda: losses.BCELoss(np.arange(4.0)), SHARES, SHARES[::-1].copy()),
    "BCEWithLogitsLoss": (lambda: losses.BCEWithLogitsLoss(pos_weight=np.arange(4.0)), LOGITS, SHARES),
    "MultiLabelSoftMarginLoss": (losses.MultiLabelSoftMarginLoss, LOGITS, SHARES),
    "SigmoidFocalLoss": (losses.SigmoidFocalLoss, LOGITS, SHARES),
    "KLDivLoss": (lambda: losses.KLDivLoss("batchmean"), LOGITS, SHARES),
    "HingeLoss": (lambda: losses.HingeLoss(True), LOGITS, np.sign(LOGITS)),
    "SoftMarginLoss": (losses.SoftMarginLoss, LOGITS, np.sign(LOGITS)),
    "PoissonNLLLoss": (lambda: losses.PoissonNLLLoss(full=True), LOGITS, SHARES),
    "WeightedSum": (lambda: losses.WeightedSum({"a": losses.MSELoss(), "b": losses.L1Loss()}, {"a": 1, "b": 2}),
                    {"a": LOGITS, "b": LOGITS}, {"a": SHARES, "b": SHARES}),
}
REGULARIZERS = {
    "L1": lambda: regularizers.L1(0.1), "L2": lambda: regularizers.L2(0.1, on="all"),
    "ElasticNet": lambda: regularizers.ElasticNet(0.1, 0.2), "MaxNorm": lambda: regularizers.MaxNorm(0.5, axis=1),
    "Together": lambda: regularizers.L2(0.1) + regularizers.MaxNorm(0.5),
}
METRICS = {
    "accuracy": lambda: metrics.accuracy, "binary_accuracy": lambda: metrics.binary_accuracy,
    "of_head": lambda: metrics.of_head(0, metrics.top_k(2)),
    "top_k": lambda: metrics.top_k(2), "mean_iou": lambda: metrics.mean_iou(3, 1),
    "mean_absolute_error": lambda: metrics.mean_absolute_error,
    "mean_squared_error": lambda: metrics.mean_squared_error, "whole": lambda: metrics.whole(np.dot, "labels"),
}
SCHEDULES = {
    "constant": lambda: schedules.constant(0.1),
    "step": lambda: schedules.step(0.1, 3, 0.5),
    "cosine": lambda: schedules.cosine(0.1, 10, 0.01),
    "one_cycle": lambda: schedules.one_cycle(0.1, 10, anneal_strategy="linear"),
    "multi_step": lambda: schedules.multi_step(0.1, [3, 5]),
    "exponential": lambda: schedules.exponential(0.1, 0.9),
    "inverse_time": lambda: schedules.inverse_time(0.1, 0.9),
    "polynomial": lambda: schedules.polynomial(0.1, 10, 2),
    "cosine_restarts": lambda: schedules.cosine_restarts(0.1, 3, 2),
    "cyclical": lambda: schedules.cyclical(0.1, 0.2, 3, 4, "exp_range", 0.9),
    "sequence": lambda: schedules.sequence([schedules.constant(0.1), schedules.cosine(0.1, 10)], [4]),
    "warmup": lambda: schedules.warmup(schedules.cosine(0.1, 10), 4),
}
CALLBACKS = {
    "ClipValue": lambda folder: training.ClipValue(0.01),
    "CsvLines": lambda folder: training.CsvLines(folder / "table.csv"),
    "EarlyStopping": lambda folder: training.EarlyStopping(3, "loss"),
    "JsonLines": lambda folder: training.JsonLines(folder / "log"),
    "LearningRateSchedule": lambda folder: training.LearningRateSchedule(schedules.cosine(0.1, 20)),
    "Progress": lambda folder: training.Progress(io.StringIO()),
    "SaveCheckpoints": lambda folder: training.SaveCheckpoints(folder / "checkpoints"),
    "SaveCurves": lambda folder: training.SaveCurves(folder / "curves.png", ("loss",)),
    "SaveBest": lambda folder: training.SaveBest(folder / "best.npz", "loss"),
    "ReduceLROnPlateau": lambda folder: training.ReduceLROnPlateau("loss", 0.5, 0, 0.9),
    "StochasticWeightAverage": lambda folder: training.StochasticWeightAverage(1),
    "TensorBoard": lambda folder: training.TensorBoard(folder / "board"),
    "WeightAverage": lambda folder: training.WeightAverage(0.9),
    "Snapshots": lambda folder: training.Snapshots(1, 2),
    "ActivationMonitor": lambda folder: checks.ActivationMonitor(RNG.standard_normal((5, 6))),
    "UpdateRatios": lambda folder: checks.UpdateRatios(2),
}
VALUES = {      # what is neither of these: how it is made, and what tells that two are alike
    "DataLoader": (lambda: DataLoader(IMAGES, LABELS, 5, augment=Augment(1, True, 2, brightness=0.1, contrast=0.1),
                                      normalize=Normalize.per_channel(IMAGES), sampler=BalancedSampler(LABELS)),
                   lambda loader: [*loader, loader.epoch]),
    "Augment": (lambda: Augment(1, "alternating", boxes=("a", 0)), repr),
    "BalancedSampler": (lambda: BalancedSampler(LABELS, 7), lambda it: drawn(it, len(LABELS))),
    "SubsetSampler": (lambda: SubsetSampler([3, 1, 2]), lambda it: drawn(it, 4)),
    "WeightedSampler": (lambda: WeightedSampler([3, 1, 2], 9), lambda it: drawn(it, 3)),
    "Dataset": (lambda: Dataset(IMAGES, LABELS, "a b c".split(), "memory"),
                lambda it: [it.images, it.labels, it.classes, it.source, repr(it)]),
    "ImageFiles": (lambda: data.ImageFiles(["a.png", "b.png"], ["x", "y"], 8, errors="skip"),
                   lambda it: [it.paths, it.labels, it.classes, it.form, it.damaged, repr(it)]),
    "ImageFolder": (lambda: data.ImageFolder(picture_folder(), 8), lambda it: [it.paths, it.ignored, it[0], repr(it)]),
    "Normalize": (lambda: Normalize.mean_image(IMAGES), lambda normalize: normalize(IMAGES)),
    "Ensemble": (lambda: training.Ensemble([net(), net()]), lambda it: [it(X), repr(it)]),
    "GradientCheck": (lambda: fastnet.gradient_check(net(), losses.CrossEntropyLoss(), X, LABELS, 3), repr),
    "ActivationReport": (lambda: fastnet.activation_report(net(), X), repr),
    "SanityReport": (lambda: checks.SanityReport([], {0.1: None}), lambda it: [repr(it), it.rates]),
    "LRRange": (lambda: checks.LRRange(RNG.random(3), RNG.random(3), RNG.random(3), None),
                lambda it: [it.lrs, it.losses, it.smoothed, repr(it)]),
    "DownloadError": (lambda: DownloadError("no mirror"), str),
    "NonFiniteError": (lambda: NonFiniteError("the loss is nan"), str),
    "History": (lambda: History([{"epoch": 1, "loss": 0.5}], True), lambda it: [*it, it.interrupted, repr(it)]),
    "Parameter": (lambda: fastnet.Parameter(LOGITS, requires_grad=False), lambda it: [it.value, it.grad, repr(it)]),
    "Minimum": (lambda: optim.Minimum(0.5, 1, 2, "1 iterations were made", (1.0, 0.5)), lambda it: [it, repr(it)]),
}


def picture_folder():
    """A folder that holds a class of one image, and is removed when the program ends."""
    folder = Path(_FOLDER.name)
    (folder / "one").mkdir(exist_ok=True)
    (folder / "one" / "a.ppm").write_bytes(b"P6 2 2 255 " + bytes(12))
    return folder


_FOLDER = tempfile.TemporaryDirectory()


def drawn(sampler, n):
    """What a sampler gives for n samples, and how it prints itself."""
    return [sampler(np.random.default_rng(0), n), repr(sampler)]


def public(module):
    """The public classes that a module or a part of the package gives out."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return {name for name in names if inspect.isclass(getattr(module, name))
            and getattr(module, name).__module__.startswith(module.__name__)}


def test_no_class_is_missing():
    assert public(optim) == OPTIMIZERS.keys() | {"Optimizer", "Minimum"}
    assert public(losses) == LOSSES.keys() | {"Loss"}
    assert public(regularizers) == REGULARIZERS.keys() | {"Regularizer"}
    assert public(metrics) <= METRICS.keys() | {"Metric"}
    assert public(schedules) == SCHEDULES.keys() | {"Schedule"}
    known = CALLBACKS.keys() | VALUES.keys() | {"Callback", "Trainer"}
    assert public(training) | public(data) | public(checks) == known - {"Parameter", "Minimum"}


def parts(value, found=None):
    """Everything that can be changed in an object: {id: object}."""
    found = {} if found is None else found
    immutable = (str, bytes, int, float, complex, bool, type(None), type, np.generic, np.dtype, Exception)
    if isinstance(value, immutable) or callable(value) and not hasattr(value, "__dict__") or id(value) in found \
            or inspect.isroutine(value) or inspect.ismodule(value):
        return found
    if not isinstance(value, tuple):
        found[id(value)] = value
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    inside = [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in slots)]
    if isinstance(value, dict):
        inside += value.values()
    elif isinstance(value, (list, tuple, set)):
        inside += value
    for one in inside:
        parts(one, found)
    return found


def assert_apart(a, b, shared=()):
    """No part of the one is a part of the other, and no two arrays lie in the same memory."""
    ours, theirs = parts(a), parts(b)
    both = [value for key, value in ours.items() if key in theirs and not any(value is one for one in shared)]
    both = [value for value in both if not isinstance(value, schedules.Schedule)]   # cannot be changed
    assert not both, both
    arrays = [[value for value in found.values() if isinstance(value, np.ndarray)] for found in (ours, theirs)]
    assert not any(np.shares_memory(one, other) for one in arrays[0] for other in arrays[1])
    for found in (ours, theirs):
        assert any(isinstance(value, np.random.Generator) for value in found.values()) == any(
            isinstance(value, fastnet.Dropout) for value in found.values())


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return same([*a.items()], [*b.items()])
    if isinstance(a, losses.Loss):
        return type(a) is type(b) and same(vars(a), vars(b))
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def net():
    fastnet.manual_seed(0)
    return fastnet.Sequential(fastnet.Linear(6, 5), fastnet.BatchNorm1d(5), fastnet.ReLU(), fastnet.Dropout(0.5),
                              fastnet.Linear(5, 3))


def steps(net, optimizer, count=3, loss=None):
    x = np.random.default_rng(3).standard_normal((8, 6)).astype(np.float32)
    for _ in range(count):
        _, gradient = (loss or losses.CrossEntropyLoss())(net.forward(x, training=True), np.arange(8) % 3)
        net.backward(gradient, need_dx=False)
        optimizer.step()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_net_and_its_optimiser_go_on_together(name, way):
    first = net()
    optimizer = OPTIMIZERS[name](first.parameters())
    steps(first, optimizer)
    second, other = WAYS[way]((first, optimizer))
    assert_apart((first, optimizer), (second, other))
    assert {id(p) for group in other.param_groups for p in group["params"]} == set(map(id, second.parameters()))
    before = second.state_dict()
    steps(first, optimizer)
    assert all(same(value, before[key]) for key, value in second.state_dict().items())
    steps(second, other)
    assert repr(other) == repr(optimizer) and same([*first.state_dict().items()], [*second.state_dict().items()])
    assert same([*optimizer.state_dict().items()], [*other.state_dict().items()])


@pytest.mark.parametrize("way", [*WAYS, "copy"])
@pytest.mark.parametrize("backend", fastnet.kernels.BACKENDS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, backend, way):
    make, outputs, targets = LOSSES[name]
    loss = make()
    if hasattr(loss, "backend"):
        loss.backend = backend
    other = WAYS.get(way, copy.copy)(loss)
    assert repr(other) == repr(loss) and same(loss, other) and same(other(outputs, targets), loss(outputs, targets))
    if way != "copy":
        assert_apart(loss, other)


@pytest.mark.parametrize("way", [*WAYS, "copy"])
@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizers(name, way):
    regularizer = REGULARIZERS[name]()
    other = WAYS.get(way, copy.copy)(regularizer)
    results = []
    for one in (regularizer, other):
        model = net()
        for parameter in model.parameters():
            parameter.grad = np.ones_like(parameter.value)
        results.append([one.add(model), one.project(model), model.state_dict(), [p.grad for p in model.parameters()]])
    assert same(*results) and repr(other) == repr(regularizer)
    if way != "copy":
        assert_apart(regularizer, other)


@pytest.mark.parametrize("way", [*WAYS, "copy"])
@pytest.mark.parametrize("name", METRICS)
def test_metrics(name, way):
    metric = METRICS[name]()
    other = WAYS.get(way, copy.copy)(metric)
    outputs, targets = LOGITS[:, :3], np.arange(5) % 3
    if "binary" in name or "error" in name:
        outputs, targets = LOGITS, (LOGITS > 0.3).astype(int)
    if name == "of_head":
        outputs, targets = (outputs,), (targets,)
    assert other(outputs, targets) == metric(outputs, targets) and repr(other) == repr(metric)


@pytest.mark.parametrize("way", [*WAYS, "copy"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name, way):
    schedule = SCHEDULES[name]()
    other = WAYS.get(way, copy.copy)(schedule)
    assert other == schedule == SCHEDULES[name]() and hash(other) == hash(schedule) and repr(other) == repr(schedule)
    assert [other(t) for t in range(20)] == [schedule(t) for t in range(20)]


@pytest.mark.parametrize("way", [*WAYS, "copy"])
@pytest.mark.parametrize("name", VALUES)
def test_values(name, way):
    make, view = VALUES[name]
    value = make()
    if name == "DataLoader":
        list(value)     # another epoch than the first one
    other = WAYS.get(way, copy.copy)(value)
    if way != "copy":
        assert_apart(value, other)
    assert type(other) is type(value) and same(view(other), view(value))
    if name == "DataLoader":
        assert not other._batches.x.array.flags.writeable


def trainer(callbacks):
    model = net()
    return fastnet.Trainer(model, losses.CrossEntropyLoss(), OPTIMIZERS["SGD"](model.parameters()), callbacks)


BATCHES = [(X[:8], LABELS[:8]), (X[8:], LABELS[8:])]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_trainer_and_its_callbacks_go_on(tmp_path, name, way):
    pytest.importorskip({"SaveCurves": "matplotlib", "TensorBoard": "tensorboardX"}.get(name, "numpy"))
    callback = CALLBACKS[name](tmp_path)
    first = trainer([callback])
    first.fit(BATCHES, 2)
    second = WAYS[way](first)
    assert_apart(first, second, [callback.file] if name == "Progress" else ())
    assert second.net is not first.net and set(map(id, second.net.parameters())) == {
        id(p) for group in second.optimizer.param_groups for p in group["params"]}
    assert same([*first.history["loss"]], [*second.history["loss"]])
    assert type(second.callbacks[0]) is type(callback) and repr(second.callbacks[0]) == repr(callback) or (
        name == "Progress")
    if name == "SaveCheckpoints":
        second.callbacks[0].folder += " of another"     # a folder is that of one training
    histories = [one.fit(BATCHES, 2) for one in (first, second)]
    assert histories[0]["loss"] == histories[1]["loss"] and histories[0]["lr"] == histories[1]["lr"]
    assert same([*first.net.state_dict().items()], [*second.net.state_dict().items()])


class Copying(training.Callback):
    """Copies the trainer in the midst of a training."""

    def on_step_end(self, trainer):
        if trainer.step == 3:
            trainer.callbacks.remove(self)
            self.copy = copy.deepcopy(trainer)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_trainer_is_copied_in_the_midst_of_training(tmp_path, name):
    pytest.importorskip({"SaveCurves": "matplotlib", "TensorBoard": "tensorboardX"}.get(name, "numpy"))
    copying = Copying()
    first = trainer([CALLBACKS[name](tmp_path), copying])
    before = []
    first.callbacks.append(type("Watch", (training.Callback,), {
        "on_step_end": lambda self, trainer: before.append(trainer.net.state_dict()),
        "__deepcopy__": lambda self, memo: training.Callback()})())
    first.fit(BATCHES, 2)
    second = copying.copy
    assert second.step == 3 and len(second.history) == 1
    assert same([*second.net.state_dict().items()], [*before[2].items()])
    if name == "SaveCheckpoints":
        second.callbacks[0].folder += " of another"
    second.fit(BATCHES, 1)
    if name == "WeightAverage":     # the copy goes on in the epoch, batch 2 of it, and ends where the first has ended
        assert same([*second.net.state_dict().items()], [*first.net.state_dict().items()])


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_progress_finds_the_programs_streams_again(name):
    progress = training.Progress(getattr(sys, name))
    for way in (*WAYS.values(), copy.copy):
        assert way(progress).file is getattr(sys, name)
    file = io.StringIO()
    assert copy.deepcopy(training.Progress(file)).file is file and copy.copy(training.Progress(file)).file is file
    assert WAYS["pickle 2"](training.Progress()).file is None


def test_the_global_generator_is_nobodys_part():
    fastnet.manual_seed(0)
    model = fastnet.Sequential(fastnet.Linear(3, 3), fastnet.Dropout(0.5))
    generator = init.generator()
    assert all(value is not generator for value in parts((model, copy.deepcopy(model))).values())
