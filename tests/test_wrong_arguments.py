"""Every public function, class and method outside kernels, programs and layers, given wrong things one at a time.

What is refused is refused in the library's own words: a TypeError or ValueError, short, that names who was called and
which argument. What is taken although it looks odd stands in the table.
"""
import inspect
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import (
    calculators,
    checks,
    data,
    init,
    losses,
    metrics,
    models,
    optim,
    plot,
    regularizers,
    schedules,
    search,
    training,
    warmup,
)
from fastnet.training import Callback

NAN = float("nan")


class Hostile:
    """Whatever is asked of it raises."""

    def _raise(self, *args):
        raise RuntimeError("asked something")

    __repr__ = __bool__ = __eq__ = __len__ = __iter__ = __float__ = __index__ = _raise
    __lt__ = __gt__ = __le__ = __ge__ = _raise
    __hash__ = object.__hash__


WRONG = {
    "None": None, "True": True, "text": "x", "nan": NAN, "inf": float("inf"), "-1": -1, "0.5": 0.5, "1j": 1j,
    "huge": 10**400, "array": np.zeros((2, 3)), "objects": np.array([None]), "masked": np.ma.ones(3), "list": [1, [2]],
    "long": list(range(10_000)), "class": fastnet.Linear, "object": object(), "function": len, "dict": {},
    "hostile": Hostile(),
}
X, Y = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32), np.arange(6) % 3
IMAGES = np.zeros((6, 1, 4, 4), np.uint8)
ROWS = [{"epoch": 1, "loss": 1.0}]
TRIALS = [{"a": 1.0, "b": 2.0, "c": 3.0}]


def parameters():
    return [fastnet.Parameter(np.ones((3, 2))), fastnet.Parameter(np.ones((2, 2)))]


def optimizer(kind=optim.SGD, **options):
    result = kind(parameters(), lr=0.1, **options)
    for parameter in result.param_groups[0]["params"]:
        parameter.grad = np.ones(parameter.shape)
    result.step()
    return result


def trainer():
    net = fastnet.Linear(4, 3)
    return fastnet.Trainer(net, losses.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1), [])


def weights():
    fastnet.save_weights(fastnet.Linear(4, 3), "weights")
    return "weights"


def skipped(**given):
    with init.skip(**given):
        pass


def model():
    fastnet.save_model(fastnet.Linear(4, 3), "model.safetensors")
    return "model.safetensors"


def picture():
    """The name of a small image file, in a list."""
    pixels = b"P6 2 2 255 " + bytes(12)
    Path("picture.ppm").write_bytes(pixels)
    for name in ("a", "b"):
        (Path("pictures") / name).mkdir(parents=True, exist_ok=True)
        (Path("pictures") / name / "one.ppm").write_bytes(pixels)
    Path("list.csv").write_text("path,label\npicture.ppm,a\n")
    return ["picture.ppm"]


def picture_files():
    return data.ImageFiles(picture(), size=2)


def with_net(**others):
    return lambda: {"net": fastnet.Linear(4, 3), **others}


def without_weights(name):
    """A model of that name, of which nothing is drawn."""
    def make(**given):
        with init.skip():
            return getattr(models, name)(**given)
    return make


OF_MODELS = {"width": "0.5", "dropout": "0.5", "drop_path": "0.5",
             **dict.fromkeys(("pool", "aux_logits", "batch_norm"), "True")}
GROUP = {"lr": "0.5", "weight_decay": "0.5", "max_norm": "0.5", "eps": "0.5", "maximize": "True"}

# Of losses, whose options have these names.
OF_LOSSES = {**dict.fromkeys(("label_smoothing", "epsilon", "gamma", "delta", "beta", "eps"), "0.5"),
             **dict.fromkeys(("squared", "log_target", "log_input", "full"), "True"),
             "weight": "long", "alpha": "long", "margin": "-1 0.5", "ignore_index": "-1"}
OF_SOME = {"SigmoidFocalLoss": {"alpha": "None 0.5"},
           **dict.fromkeys(("BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"),
                           dict.fromkeys(("weight", "pos_weight"), "0.5 array long"))}

# Data sets that are downloaded, beside CIFAR-10.
PUBLISHED = "cifar100", "mnist", "fashion_mnist"
OF_SEARCH = {"train": "function", "n_jobs": "-1 None", "lower": "True None", "seed": "huge", "verbose": "True"}


def square(lr):
    return lr * lr


# name: (what is called, its arguments where all is right, {argument: which of WRONG are taken all the same})
TABLE = {
    # optim
    "SGD": (optim.SGD, lambda: {"params": parameters(), "lr": 0.1, "momentum": 0.9},
            GROUP | {"momentum": "0.5", "dampening": "0.5", "nesterov": "True"}),
    "Adam": (optim.Adam, lambda: {"params": parameters()},
             GROUP | {"decoupled_weight_decay": "True", "amsgrad": "True"}),
    "AdamW": (optim.AdamW, lambda: {"params": parameters()}, GROUP | {"amsgrad": "True"}),
    "NAdam": (optim.NAdam, lambda: {"params": parameters()},
              GROUP | {"decoupled_weight_decay": "True", "momentum_decay": "0.5"}),
    "RMSprop": (optim.RMSprop, lambda: {"params": parameters()},
                GROUP | {"alpha": "0.5", "momentum": "0.5", "centered": "True"}),
    "Adagrad": (optim.Adagrad, lambda: {"params": parameters()},
                GROUP | {"lr_decay": "0.5", "initial_accumulator_value": "0.5"}),
    "Muon": (optim.Muon, lambda: {"params": parameters()},
             GROUP | {"momentum": "0.5", "nesterov": "True", "normalize": "True", "orthogonal": "True"}),
    "Optimizer": (lambda **given: optim.Optimizer(**given), lambda: {"params": parameters(), "lr": 0.1}, GROUP),
    "Optimizer.load_state_dict": (lambda **given: optimizer(optim.Adam).load_state_dict(**given),
                                  lambda: {"state_dict": optimizer(optim.Adam).state_dict()}, {}),
    "decay_groups": (optim.decay_groups, lambda: {"params": parameters()}, {}),
    "clip_grad_norm": (optim.clip_grad_norm, lambda: {"parameters": parameters(), "max_norm": 1.0},
                       {"max_norm": "0.5 inf", "norm_type": "0.5 inf", "error_if_nonfinite": "True"}),
    "clip_grad_value": (optim.clip_grad_value, lambda: {"parameters": parameters(), "clip_value": 1.0},
                        {"clip_value": "0.5"}),
    "minimise": (optim.minimise, with_net(loss=losses.CrossEntropyLoss(), x=X, y=Y, max_iter=2),
                 {"net": "function", "loss": "function", "seed": "huge", "max_iter": "huge"}),
    "Minimum": (optim.Minimum, lambda: {"value": 0.5, "iterations": 1, "evaluations": 1, "reason": "", "history": ()},
                dict.fromkeys(("value", "iterations", "evaluations", "reason", "history"), " ".join(WRONG))),
    "orthogonalize": (optim.orthogonalize, lambda: {"matrix": np.ones((2, 3), np.float32)},
                      {"matrix": "array"}),
    # losses
    **{name: (getattr(losses, name), dict, OF_LOSSES | OF_SOME.get(name, {}))
       for name in losses.__all__ if name not in ("Loss", "WeightedSum")},
    "Loss": (losses.Loss, dict, {}),
    "CrossEntropyLoss.__call__": (losses.CrossEntropyLoss(), lambda: {"outputs": X, "targets": Y}, {}),
    "ClassLoss.__call__": (losses.NLLLoss(), lambda: {"outputs": X, "targets": Y}, {}),
    "PointwiseLoss.__call__": (losses.MSELoss(), lambda: {"outputs": X, "targets": X}, {}),
    "BCELoss.__call__": (losses.BCELoss(), lambda: {"outputs": X > 0, "targets": X > 0}, {}),
    "PoissonNLLLoss.__call__": (losses.PoissonNLLLoss(full=True), lambda: {"outputs": X, "targets": X > 0}, {}),
    "WeightedSum": (losses.WeightedSum, lambda: {"losses": (losses.MSELoss(),)}, {}),
    "WeightedSum.__call__": (losses.WeightedSum((losses.MSELoss(),)), lambda: {"outputs": (X,), "targets": (X,)}, {}),
    # regularizers
    "Regularizer": (regularizers.Regularizer, dict, {"on": "text"}),
    "ElasticNet": (regularizers.ElasticNet, lambda: {"l1": 0.1, "l2": 0.1}, {"l1": "0.5", "l2": "0.5", "on": "text"}),
    "L1": (regularizers.L1, lambda: {"strength": 0.1}, {"strength": "0.5", "on": "text"}),
    "L2": (regularizers.L2, lambda: {"strength": 0.1}, {"strength": "0.5", "on": "text"}),
    "MaxNorm": (regularizers.MaxNorm, lambda: {"limit": 1}, {"limit": "0.5", "on": "text"}),
    "Together": (regularizers.Together, dict, {}),
    # metrics
    "Metric": (metrics.Metric, dict, {}),
    "Metric.__call__": (metrics.top_k(2), lambda: {"outputs": X, "targets": Y}, {}),
    "accuracy": (metrics.accuracy, lambda: {"outputs": X, "targets": Y}, {}),
    "binary_accuracy": (metrics.binary_accuracy, lambda: {"outputs": X, "targets": X > 0}, {}),
    "mean_absolute_error": (metrics.mean_absolute_error, lambda: {"outputs": X, "targets": X}, {}),
    "mean_squared_error": (metrics.mean_squared_error, lambda: {"outputs": X, "targets": X}, {}),
    "top_k": (metrics.top_k, lambda: {"k": 1}, {"k": "huge"}),
    "mean_iou": (metrics.mean_iou, lambda: {"num_classes": 4}, {"ignore_index": "-1"}),
    "of_head": (metrics.of_head, lambda: {"head": 0, "metric": metrics.accuracy},
                {"head": "text huge", "metric": "function"}),
    "whole": (metrics.whole, lambda: {"function": len}, {"function": "function", "lower": "True"}),
    # schedules
    "Schedule": (schedules.Schedule, dict, {}),
    "Schedule.__call__": (schedules.cosine(0.1, 10), lambda: {"step": 0}, {}),
    "constant": (schedules.constant, lambda: {"lr": 0.1}, {"lr": "0.5"}),
    "step": (schedules.step, lambda: {"lr": 0.1, "step_size": 3}, {"lr": "0.5", "gamma": "0.5"}),
    "cosine": (schedules.cosine, lambda: {"lr": 0.1, "total_steps": 3},
               {"lr": "0.5", "eta_min": "0.5"}),
    "multi_step": (schedules.multi_step, lambda: {"lr": 0.1, "milestones": [3]},
                   {"lr": "0.5", "gamma": "0.5", "milestones": "long"}),
    "exponential": (schedules.exponential, lambda: {"lr": 0.1, "gamma": 0.9}, {"lr": "0.5", "gamma": "0.5"}),
    "inverse_time": (schedules.inverse_time, lambda: {"lr": 0.1, "decay": 0.9}, {"lr": "0.5", "decay": "0.5"}),
    "polynomial": (schedules.polynomial, lambda: {"lr": 0.1}, {"lr": "0.5", "power": "0.5"}),
    "cosine_restarts": (schedules.cosine_restarts, lambda: {"lr": 0.1, "T_0": 3}, {"lr": "0.5", "eta_min": "0.5"}),
    "cyclical": (schedules.cyclical, lambda: {"base_lr": 0.1, "max_lr": 0.3},
                 {"base_lr": "0.5", "max_lr": "0.5", "gamma": "0.5"}),
    "sequence": (schedules.sequence, lambda: {"schedules": [len], "milestones": []}, {}),
    "one_cycle": (schedules.one_cycle, lambda: {"max_lr": 0.1, "total_steps": 3},
                  {"max_lr": "0.5", "pct_start": "0.5"}),
    "warmup": (schedules.warmup, lambda: {"schedule": len, "steps": 3}, {"schedule": "function"}),
    # init
    "manual_seed": (init.manual_seed, lambda: {"seed": 0}, {"seed": "None huge"}),
    "generator": (init.generator, dict, {}),
    "skip": (skipped, dict, {"most": "huge"}),
    "seeded": (lambda **given: init.seeded(**given).__enter__(), lambda: {"seed": 0}, {"seed": "huge"}),
    "zeros": (init.zeros, lambda: {"shape": (2, 3)}, {}),
    "ones": (init.ones, lambda: {"shape": (2, 3)}, {}),
    "uniform": (init.uniform, lambda: {"shape": (2, 3)}, {"a": "-1 0.5", "b": "0.5"}),
    "normal": (init.normal, lambda: {"shape": (2, 3)}, {"mean": "-1 0.5", "std": "0.5"}),
    "init.constant": (init.constant, lambda: {"shape": (2, 3), "val": 1}, {"val": "-1 0.5"}),
    "eye": (init.eye, lambda: {"shape": (2, 3)}, {}),
    "dirac": (init.dirac, lambda: {"shape": (2, 3, 1, 1)}, {}),
    "trunc_normal": (init.trunc_normal, lambda: {"shape": (2, 3)},
                     {"mean": "-1 0.5", "std": "0.5", "a": "-1 0.5", "b": "-1 0.5"}),
    "orthogonal": (init.orthogonal, lambda: {"shape": (2, 3)}, {"gain": "-1 0.5"}),
    "sparse": (init.sparse, lambda: {"shape": (2, 3), "sparsity": 0.5}, {"sparsity": "0.5", "std": "0.5"}),
    "uniform_fan_in": (init.uniform_fan_in, lambda: {"shape": (2, 3)}, {}),
    "partial_dirac": (init.partial_dirac, lambda: {"shape": (2, 3, 1, 1)}, {}),
    "kaiming_uniform": (init.kaiming_uniform, lambda: {"shape": (2, 3)}, {"a": "-1 0.5"}),
    "kaiming_normal": (init.kaiming_normal, lambda: {"shape": (2, 3)}, {"a": "-1 0.5"}),
    "xavier_uniform": (init.xavier_uniform, lambda: {"shape": (2, 3)}, {"gain": "0.5"}),
    "xavier_normal": (init.xavier_normal, lambda: {"shape": (2, 3)}, {"gain": "0.5"}),
    "calculate_gain": (init.calculate_gain, lambda: {"nonlinearity": "relu"}, {"a": "-1 0.5"}),
    "fans": (init.fans, lambda: {"shape": (2, 3)}, {}),
    "apply": (init.apply, with_net(weight=init.ones), {}),
    # training
    "Trainer": (fastnet.Trainer, lambda: dict(zip(("net", "loss", "optimizer"), (
        (it := trainer()).net, it.loss_function, it.optimizer), strict=True)), {
            "loss": "function", "metrics": "dict", "accumulate": "huge"}),
    "Trainer.fit": (lambda **given: trainer().fit(**given), lambda: {"train_batches": [(X, Y)], "epochs": 1},
                    {"batch_size": "huge", "resume": "text"}),
    "Trainer.load_state_dict": (trainer().load_state_dict, lambda: {"state": trainer().state_dict()}, {}),
    "evaluate": (training.evaluate, with_net(batches=[(X, Y)], loss=losses.CrossEntropyLoss()),
                 {"net": "function", "loss": "function", "metrics": "dict", "batch_size": "huge"}),
    "predict": (training.predict, with_net(batches=[X]), {"net": "function", "batches": "array", "batch_size": "huge"}),
    "predict_images": (training.predict_images, lambda: {
        "net": fastnet.Sequential(fastnet.Flatten(), fastnet.Linear(12, 3)), "paths": picture(), "size": 2},
                       {"net": "function", "top": "huge"}),
    "save_weights": (training.save_weights, with_net(path="saved"), {"path": "text"}),
    "load_weights": (training.load_weights, lambda: {"net": fastnet.Linear(4, 3), "path": weights()},
                     {"strict": "True", "rename": "dict"}),
    "Checkpoints": (fastnet.Checkpoints, lambda: {"folder": "states"}, {"folder": "text", "keep": "huge"}),
    "Checkpoints.save": (lambda state, **given: fastnet.Checkpoints("states").save({"state": state}, **given),
                         lambda: {"state": X, "step": 3},
                         {"state": "None True text nan inf -1 0.5 huge array list long dict", "best": "True"}),
    "CheckpointError": (fastnet.CheckpointError, dict, {}),
    "save_model": (fastnet.save_model, with_net(path="saved.safetensors"), {"path": "text"}),
    "load_model": (fastnet.load_model, lambda: {"path": model()}, {"classes_of_mine": ""}),
    "Model": (fastnet.Model, with_net(), {}),
    "Model.predict": (fastnet.Model(fastnet.Flatten()).predict, lambda: {"x": X}, {"x": "array", "top": "huge"}),
    "Callback": (Callback, dict, {}),
    "Callback.load_state_dict": (Callback().load_state_dict, lambda: {"state": {}}, {"state": "dict"}),
    "ClipValue": (training.ClipValue, lambda: {"limit": 1}, {"limit": "0.5"}),
    "CsvLines": (training.CsvLines, lambda: {"path": "table"}, {"path": "text"}),
    "EarlyStopping": (training.EarlyStopping, lambda: {"patience": 3}, {"patience": "huge", "min_delta": "0.5",
                                                                        "monitor": "text"}),
    "JsonLines": (training.JsonLines, lambda: {"path": "log"}, {"path": "text"}),
    "LearningRateSchedule": (training.LearningRateSchedule, lambda: {"schedule": len}, {"schedule": "function"}),
    "Progress": (training.Progress, lambda: {"file": io.StringIO()}, {"every": "0.5"}),
    "ReduceLROnPlateau": (training.ReduceLROnPlateau, dict,
                          {"factor": "0.5", "threshold": "0.5", "min_lr": "0.5", "eps": "0.5", "patience": "huge",
                           "cooldown": "huge", "monitor": "text"}),
    "StochasticWeightAverage": (training.StochasticWeightAverage, lambda: {"start": 1},
                                {"start": "huge", "every": "huge"}),
    "update_bn": (training.update_bn, lambda: {
        "net": fastnet.Sequential(fastnet.Linear(4, 3), fastnet.BatchNorm1d(3)), "batches": [X]}, {"batches": "array"}),
    "SaveBest": (training.SaveBest, lambda: {"path": "best"}, {"path": "text", "monitor": "text"}),
    "SaveCheckpoints": (training.SaveCheckpoints, lambda: {"folder": "checkpoints"},
                        {"folder": "text", "every_steps": "huge", "every_epochs": "None huge", "every_seconds": "0.5",
                         "keep": "huge", "monitor": "text"}),
    "SaveCurves": (training.SaveCurves, lambda: {"path": "curves.png"}, {}),
    "TensorBoard": (training.TensorBoard, lambda: {"folder": "board"}, {"folder": "text", "every": "huge"}),
    "WeightAverage": (training.WeightAverage, dict, {"decay": "0.5", "every": "huge"}),
    "History": (training.History, dict, {"interrupted": "True"}),
    "History.load_state_dict": (training.History().load_state_dict,
                                lambda: {"state": training.History(ROWS).state_dict()}, {}),
    "History.__getitem__": (lambda key: training.History(ROWS)[key], lambda: {"key": "loss"}, {"key": "-1"}),
    "NonFiniteError": (training.NonFiniteError, dict, {}),
    "Ensemble": (training.Ensemble, lambda: {"nets": [fastnet.Linear(4, 3)]}, {}),
    "Ensemble.probabilities": (training.Ensemble([fastnet.Linear(4, 3)]).probabilities, lambda: {"x": X}, {}),
    "Ensemble.__call__": (training.Ensemble([fastnet.Linear(4, 3)]), lambda: {"x": X}, {}),
    "Snapshots": (training.Snapshots, dict, {"every": "huge", "keep": "huge"}),
    "tta": (training.tta, lambda: {"net": fastnet.Flatten(), "x": IMAGES, "views": data.Augment(), "times": 1},
            {"net": "function", "times": "huge", "batch_size": "huge"}),
    # checks
    "gradient_check": (checks.gradient_check, with_net(loss=losses.CrossEntropyLoss(), x=X, y=Y, samples=1),
                       {"loss": "function", "samples": "None huge", "eps": "0.5", "tolerance": "0.5", "seed": "huge"}),
    "sanity_check": (checks.sanity_check, with_net(loss=losses.CrossEntropyLoss(), x=X, y=Y, lr=0.1),
                     {"loss": "function", "optimizer": "function", "lr": "0.5", "seed": "huge"}),
    "activation_report": (checks.activation_report, with_net(x=X), {}),
    "saliency": (checks.saliency, lambda: {"net": fastnet.Flatten(), "x": IMAGES}, {}),
    "grad_cam": (checks.grad_cam, lambda: {
        "net": fastnet.Sequential(fastnet.Conv2d(1, 2, 1), fastnet.Flatten()), "x": IMAGES, "layer": "0"}, {}),
    "lr_range_test": (checks.lr_range_test, lambda: {
        "net": (net := fastnet.Linear(4, 3)), "loss": losses.CrossEntropyLoss(),
        "optimizer": optim.SGD(net.parameters(), 0.1), "batches": [(X, Y)], "steps": 3},
        {"loss": "function", "lr_min": "0.5", "lr_max": "0.5", "steps": "huge", "smoothing": "0.5"}),
    "ActivationMonitor": (checks.ActivationMonitor, lambda: {"x": X}, {"x": "array", "every": "huge"}),
    "UpdateRatios": (checks.UpdateRatios, dict, {"every": "huge"}),
    "UpdateRatios.verdict": (checks.UpdateRatios().verdict, dict, {}),
    **{name: (getattr(checks, name), dict.fromkeys(parts, ()).copy, dict.fromkeys(parts, " ".join(WRONG)))
       for name, parts in {"GradientCheck": ("rows", "tolerance"), "ActivationReport": ("rows",),
                           "SanityReport": ("rows", "rates"),
                           "LRRange": ("lrs", "losses", "smoothed", "diverged")}.items()},
    # data
    "DataLoader": (data.DataLoader, lambda: {"x": IMAGES, "y": Y, "batch_size": 3},
                   {"shuffle": "True", "drop_last": "True", "batch_size": "huge", "prefetch": "huge",
                    "transform": "function", "sampler": "function", "normalize": "dict"}),
    "DataLoader.load_state_dict": (data.DataLoader(IMAGES, Y).load_state_dict,
                                   lambda: {"state": {"epoch": 1, "seed": 2}}, {}),
    "Augment": (data.Augment, dict, {"crop": "huge", "flip": "True", "cutout": "huge", "brightness": "0.5",
                                     "contrast": "0.5", "mask_fill": "-1 huge", "boxes": "text True -1 huge",
                                     "noise": "0.5", "rotation": "0.5", "mixup": "0.5", "cutmix": "0.5"}),
    "ImageFiles": (data.ImageFiles, lambda: {"paths": picture(), "size": 2}, {"draft": "True", "resize": "huge"}),
    "ImageFiles.from_csv": (lambda table, **given: (picture(), data.ImageFiles.from_csv(table, **given))[1],
                            lambda: {"table": "list.csv"}, {"label": "None", "folder": "None"}),
    "ImageFiles.__getitem__": (lambda index: picture_files()[index], lambda: {"index": 0}, {"index": "-1"}),
    "ImageFiles.load": (lambda: picture_files().load(), dict, {}),
    "ImageFolder": (lambda **given: (picture(), data.ImageFolder(**given))[1],
                    lambda: {"folder": "pictures", "size": 2}, {"draft": "True", "resize": "huge"}),
    "BalancedSampler": (data.BalancedSampler, lambda: {"labels": Y}, {"labels": "long", "num_samples": "huge"}),
    "BalancedSampler.__call__": (data.BalancedSampler(Y), lambda: {"rng": np.random.default_rng(0), "n": 6}, {}),
    "SubsetSampler": (data.SubsetSampler, lambda: {"indices": [0, 1]}, {"indices": "long"}),
    "SubsetSampler.__call__": (data.SubsetSampler([1]), lambda: {"rng": np.random.default_rng(0), "n": 6},
                               {"n": "huge"}),
    "WeightedSampler": (data.WeightedSampler, lambda: {"weights": [1, 2]},
                        {"weights": "long", "num_samples": "huge", "replacement": "True"}),
    "WeightedSampler.__call__": (data.WeightedSampler([1, 2]), lambda: {"rng": np.random.default_rng(0), "n": 2}, {}),
    "DataLoader.set_epoch": (data.DataLoader(IMAGES, Y).set_epoch, lambda: {"epoch": 1}, {}),
    "DataLoader.iterate_from": (data.DataLoader(IMAGES, Y, 3).iterate_from, lambda: {"first": 1}, {}),
    "DataLoader.in_order": (data.DataLoader(IMAGES, Y).in_order, dict, {}),
    "Dataset": (data.Dataset, lambda: {"images": IMAGES, "labels": Y, "classes": ["a", "b", "c"], "source": ""},
                {"source": "text"}),
    "Dataset.__getitem__": (lambda index: data.Dataset(IMAGES, Y, ["a", "b", "c"], "")[index],
                            lambda: {"index": slice(2)}, {}),
    "Normalize": (data.Normalize, lambda: {"mean": [0.5], "std": [1]}, {"mean": "", "std": ""}),
    "Normalize.__call__": (data.Normalize([0], [1]), lambda: {"x": IMAGES}, {}),
    "Normalize.terms": (data.Normalize([0], [1]).terms, lambda: {"shape": (1, 4, 4)}, {}),
    "Normalize.per_channel": (data.Normalize.per_channel, lambda: {"x": IMAGES}, {"x": "array"}),
    "Normalize.mean_image": (data.Normalize.mean_image, lambda: {"x": IMAGES}, {"x": "array"}),
    "Normalize.min_max": (data.Normalize.min_max, lambda: {"x": IMAGES}, {"x": "array"}),
    "Normalize.inverse": (data.Normalize([0], [1]).inverse, lambda: {"x": IMAGES}, {}),
    "DownloadError": (data.DownloadError, dict, {}),
    "cifar10": (data.cifar10, lambda: {"root": "nothing", "download": False}, {"progress": "True", "download": "True"}),
    "cifar10_or_synthetic": (data.cifar10_or_synthetic, lambda: {"root": "nothing", "download": False},
                             {"progress": "True", "download": "True"}),
    **{name: (getattr(data, name), lambda: {"root": "nothing", "download": False},
              {"progress": "True", "download": "True", "coarse": "True"}) for name in PUBLISHED},
    "synthetic": (data.synthetic, lambda: {"train": 10, "test": 10}, {"seed": "huge"}),
    "class_weights": (data.class_weights, lambda: {"labels": Y}, {"labels": "long"}),
    "train_val_split": (data.train_val_split, lambda: {"labels": Y},
                        {"validation": "0.5", "seed": "huge", "labels": "long"}),
    "split": (data.split, lambda: {"x": X, "y": Y, "test": 2, "validation": 2},
              {"stratify": "True", "test": "0.5", "validation": "0.5", "seed": "huge"}),
    "k_folds": (data.k_folds, lambda: {"labels": Y}, {"seed": "huge", "labels": "long"}),
    # features
    "hog": (fastnet.features.hog, lambda: {"images": np.zeros((2, 1, 24, 25), np.uint8)}, {}),
    "hue_histogram": (fastnet.features.hue_histogram, lambda: {"images": np.zeros((2, 3, 4, 5), np.uint8)}, {}),
    # plot
    "curves": (lambda rows, ax=None: plot.curves(rows, "loss", ax=ax), lambda: {"rows": ROWS}, {}),
    "lr_range": (plot.lr_range, lambda: {"found": checks.LRRange(*np.ones((3, 4)), None)}, {}),
    "search": (plot.search, lambda: {"rows": TRIALS, "x": "a", "y": "b", "score": "c"}, {"lower": "True"}),
    "paths": (plot.paths, lambda: {"function": np.hypot, "paths": {"a": [[0, 1], [2, 3]]}},
              {"function": "function"}),
    "filters": (plot.filters, lambda: {"weight": np.ones((2, 3, 2, 2))}, {}),
    "templates": (plot.templates, lambda: {"weight": np.ones((2, 3)), "shape": (3, 1, 1)}, {"weight": "array"}),
    "activation_maps": (plot.activation_maps, lambda: {"maps": np.ones((2, 3, 3))}, {"together": "True"}),
    "images": (plot.images, lambda: {"x": IMAGES[:2]}, {"columns": "huge"}),
    "misclassified": (plot.misclassified, lambda: {
        "x": IMAGES[:2], "labels": [0, 1], "predictions": [1, 1], "classes": ["a", "b"]}, {"most": "huge"}),
    "neighbours": (plot.neighbours, lambda: {"queries": IMAGES[:2], "found": IMAGES[:4].reshape(2, 2, 1, 4, 4)}, {}),
    "overlay": (plot.overlay, lambda: {"image": np.ones((3, 4, 4)), "heat": np.ones((2, 2))},
                {"heat": "array", "image": "array", "alpha": "0.5"}),
    "confusion": (plot.confusion, lambda: {"labels": [0, 1], "predictions": [1, 1], "classes": 2}, {}),
    "confusion_matrix": (plot.confusion_matrix,
                         lambda: {"labels": [0, 1], "predictions": [1, 1], "classes": ["a", "b"]}, {}),
    "decision_regions": (plot.decision_regions, lambda: {
        "net": fastnet.Linear(2, 2), "x": np.eye(2), "y": [0, 1], "resolution": 5}, {"net": "function"}),
    "graph": (plot.graph, lambda: {"net": fastnet.Linear(4, 3), "input_shape": (2, 4)}, {}),
    "effective_receptive_field": (plot.effective_receptive_field, lambda: {"gradient": np.ones((1, 3, 3))}, {}),
    # search
    "random_search": (search.random_search, lambda: {"train": square, "space": {"lr": [1.0]}, "n_iter": 1}, OF_SEARCH),
    "grid_search": (search.grid_search, lambda: {"train": square, "grid": {"lr": [1.0]}}, OF_SEARCH),
    "coarse_to_fine": (search.coarse_to_fine, lambda: {"train": square, "space": {"lr": [1.0]}, "n_iter": (1,)},
                       OF_SEARCH | {"keep": "0.5"}),
    "search.uniform": (search.uniform, lambda: {"low": 0, "high": 1}, {"low": "-1 0.5", "high": "0.5"}),
    "log_uniform": (search.log_uniform, lambda: {"low": 0.1, "high": 1}, {"low": "0.5", "high": "0.5"}),
    "choice": (search.choice, lambda: {"options": [1]}, {"options": "long list"}),
    "Trials": (search.Trials, dict, {}),
    "Distribution.rvs": (search.uniform(0, 1).rvs, dict, {"random_state": "huge"}),
    # the rest
    "empty_like": (fastnet.empty_like, lambda: {"x": X}, {"x": "array"}),
    "Parameter": (fastnet.Parameter, lambda: {"value": np.ones(3)},
                  {"value": "nan inf -1 0.5 array long", "requires_grad": "True"}),
    "Parameter.astype": (fastnet.Parameter(np.ones(3)).astype, lambda: {"dtype": "float32"}, {}),
    **{name: (without_weights(name), dict, OF_MODELS) for name in models.__all__},
    "fully_convolutional": (fastnet.fully_convolutional, lambda: {
        "net": fastnet.Sequential(fastnet.Flatten(), fastnet.Linear(4, 3)), "input_shape": (1, 1, 2, 2)}, {}),
    "output_size": (calculators.output_size, lambda: {"input_size": 5, "kernel_size": 3}, {"exact": "True"}),
    "conv_parameters": (calculators.conv_parameters,
                        lambda: {"in_channels": 2, "out_channels": 3, "kernel_size": 3}, {"bias": "True"}),
    "receptive_field": (calculators.receptive_field, lambda: {"windows": [3, (3, 2)]}, {"windows": "list"}),
    "warmup.warmup": (warmup.warmup, lambda: {"names": ["lenet5"]},
                      {"batch_size": "huge", "processes": "huge", "report": "function"}),
}
# What is taken and not tried: it would take long, or is another function than what is wanted.
NOT_TRIED = {("DataLoader", "function"), ("warmup.warmup", "function"), ("warmup.warmup", "huge"), ("cifar10", "True"),
             ("cifar10_or_synthetic", "True"), ("evaluate", "function"), ("predict", "function"),
             ("minimise", "function"), ("minimise", "huge"), ("predict", "array"), ("update_bn", "array"),
             *((name, "huge") for name in models.__all__), *((name, "True") for name in PUBLISHED),
             ("predict_images", "function"), ("gradient_check", "function"),
             ("sanity_check", "function"), ("lr_range_test", "function"), ("lr_range_test", "huge"),
             ("tta", "function"), ("tta", "huge"), ("paths", "function"), ("decision_regions", "function"),
             *((name, kind) for name in ("random_search", "grid_search", "coarse_to_fine")
               for kind in ("huge", "-1", "function"))}
# Methods that are called by the library itself, or by subclasses with what it has judged.
INNER = {"draw", "around", "total", "divisor",
         "numbers", "sample_weights", "scale", "scores", "rows", "of_classes", "mean_over", "matching", "prepared",
         "constants", "spread", "checked", "meant", "add", "project", "result", "check", "views", "update", "kept",
         "number", "said", "rate", "keep", "keep_numbers", "improved", "measured", "better", "take", "interrupt",
         "check_state", "begin", "see", "rewrite", "line", "read", "tell",
         *training.callbacks.HOOKS}
FOREIGN = re.compile("|".join((
    "no attribute", "unsupported operand", "not supported between", "ambiguous", "interpreted as", "could not convert",
    "positional argument", "not iterable", "not subscriptable", "unhashable", "[Nn]umba", "zipfile",
    "must be real number", "out of bounds", "broadcast", "invalid literal", "asked something",
    "setting an array element", r"__\w+__")))


def public():
    """Names of all public functions and classes outside kernels, programs and layers, and of the methods of these."""
    found = {}
    for module in (fastnet, checks, data, fastnet.features, training, optim, models, losses, metrics, regularizers,
                   schedules, init, plot, calculators, search):
        for name in getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]:
            value = getattr(module, name)
            home = getattr(value, "__module__", None) or ""
            inner = ("fastnet.kernels", "fastnet.program", "fastnet.layers")
            if callable(value) and home.startswith("fastnet") and not home.startswith(inner):
                if found.setdefault(name, value) is not value:
                    found[f"{module.__name__.removeprefix('fastnet.')}.{name}"] = value
    found["warmup.warmup"] = warmup.warmup
    for value in list(found.values()):
        if inspect.isclass(value):
            for kind in value.__mro__:
                methods = vars(kind).items() if kind.__module__.startswith("fastnet") else ()
                for method, function in methods:
                    if (inspect.isfunction(function) or isinstance(function, classmethod)) and method not in INNER and (
                            not method.startswith("_") or method in ("__call__", "__getitem__")):
                        found[f"{kind.__name__}.{method}"] = function
    return found


def takes(function):
    """The arguments of a function that can be given by name."""
    function = getattr(function, "__func__", function)
    return [parameter for parameter in inspect.signature(function).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) and parameter.name != "self"]


def test_nothing_public_is_missing():
    names = {name for name, value in public().items() if "." not in name or [
        parameter for parameter in takes(value) if parameter.name not in ("self", "cls")] or name in TABLE}
    assert names == set(TABLE)


@pytest.fixture(autouse=True)
def closed():
    """What was drawn is let go of."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """What is written goes into a folder of the test's own, and nothing is downloaded."""
    monkeypatch.chdir(tmp_path)
    for name in ("FASTNET_DATA", "FASTNET_MIRRORS"):
        monkeypatch.delenv(name, raising=False)


def arguments_of(name):
    """The arguments of a row of the table: all that the public thing has."""
    function = public()[name]
    if inspect.isclass(function) and issubclass(function, Exception):
        return []
    return [parameter for parameter in takes(function) if parameter.name not in ("self", "cls", "options")]


CASES = [(name, parameter.name) for name in TABLE for parameter in arguments_of(name)]


@pytest.mark.parametrize("name", TABLE)
def test_what_is_right_is_taken(name):
    if name.startswith("warmup.") or name.startswith("cifar10") or name in PUBLISHED:
        return  # their own tests
    if name in plot.__all__:
        pytest.importorskip("matplotlib").use("Agg")
    call, right, _ = TABLE[name]
    call(**right())


@pytest.mark.parametrize("name, argument", CASES, ids=map(".".join, CASES))
def test_what_is_wrong_is_refused(name, argument):
    if name in plot.__all__:
        pytest.importorskip("matplotlib").use("Agg")
    call, right, taken = TABLE[name]
    taken = set(taken.get(argument, "").split())
    default = next(parameter.default for parameter in arguments_of(name) if parameter.name == argument)
    if default is None:
        taken.add("None")
    who = name.rpartition(".")[2] if "__" not in name else name.partition(".")[0]
    for kind, value in WRONG.items():
        if kind in taken:
            if (name, kind) not in NOT_TRIED and "None" != kind:
                call(**right() | {argument: value})
            continue
        with pytest.raises((TypeError, ValueError, OSError, LookupError)) as caught:
            call(**right() | {argument: value})
        text = str(caught.value)
        assert not FOREIGN.search(text.replace("__class__", "")) and len(text) < 400, (kind, text)
        assert isinstance(caught.value, (TypeError, ValueError)) or kind == "text" or "getitem" in name, (kind, text)
        words = set(re.findall(r"\w+", text))
        assert {CALLED.get(name, who)} <= words or {"CIFAR", "MNIST"} & words, (kind, text)
        # An array of another length may be what makes the argument beside it wrong.
        expected = {argument, *right()} if kind in ("array", "long") else {argument}
        assert expected & words or f"the {argument.rstrip('s')}" in text or "getitem" in name, (kind, text)


# Who errors say was called, where it is not the last part of the name.
CALLED = {"ImageFiles.from_csv": "ImageFiles",
          "Parameter.astype": "Parameter", "ClassLoss.__call__": "NLLLoss", "PointwiseLoss.__call__": "MSELoss",
          "Metric.__call__": "top_k",
          "Ensemble.__call__": "Linear", "Ensemble.probabilities": "Linear",
          "Schedule.__call__": "cosine", "Optimizer.load_state_dict": "Adam", "Normalize.terms": "Normalize",
          "Normalize.inverse": "Normalize",
          "DataLoader.set_epoch": "DataLoader", "warmup.warmup": "warmup"}


