"""The fuzzer's targets beside layers: those of the table of wrong arguments, and what changes objects that stay."""
import importlib.util

import numpy as np

from fastnet import Linear, Trainer, data, init, load_weights, losses, models, optim, save_weights, training

from ..test_wrong_arguments import PUBLISHED, TABLE, X, Y, parameters
from .pool import CALLABLE, LARGE
from .target import Target

# {name: what its Target says beside its arguments}
SAID = {
    **dict.fromkeys(("cifar10", "cifar10_or_synthetic", *PUBLISHED), {
        "called": "", "never": {"download": {"True", "np.True_"}}, "words": {"root": ""},     # what lies there is named
        "errors": (OSError, data.DownloadError, UserWarning)}),
    **dict.fromkeys(("confusion", "confusion_matrix"), {
        "words": dict.fromkeys(("labels", "predictions", "classes"), "(labels|predictions|classes)")}),
    **dict.fromkeys(("save_weights", "save_model"), {"errors": (OSError,)}),
    **dict.fromkeys(("ImageFiles", "ImageFolder"), {"errors": (OSError,)}),
    "ImageFiles.from_csv": {"errors": (OSError,), "words": {"folder": "(folder|paths)"}, "called": "ImageFiles"},
    "ImageFiles.__getitem__": {"errors": (IndexError,), "words": {"index": "(what is selected|there are)"}},
    "predict_images": {"errors": (OSError,), "never": {"net": CALLABLE}, "called": "predict_images|Linear|Flatten",
                       "words": {"size": "(size|features)"}},
    "split": {"words": dict.fromkeys(("x", "y", "stratify"), r"(\bx|\by|stratify|samples)")},
    "synthetic": {"never": {"train": LARGE, "test": LARGE}},
    "evaluate": {"never": {"net": CALLABLE, "loss": CALLABLE}, "called": "evaluate|Linear|Loss",
                 "words": {"batches": "batch|x\\b|labels"}},
    "predict": {"never": {"net": CALLABLE}, "called": "predict|Linear", "words": {"batches": "batch|x\\b"}},
    "Dataset": {"words": dict.fromkeys(("images", "labels", "classes"), "(images|labels|classes)")},
    "DataLoader": {"never": {"sampler": CALLABLE}, "words": dict.fromkeys(
        ("x", "y", "normalize", "augment", "sampler"), r"(\bx|\by|normalize|mean|images|augment|sampler)")},
    "Trainer": {"never": {"loss": CALLABLE}},
    "Trainer.fit": {"never": {"epochs": LARGE}, "errors": (training.NonFiniteError,)},
    "History.__getitem__": {"errors": (KeyError, IndexError), "words": {"key": "(column|epoch)"}},
    "Dataset.__getitem__": {"errors": (IndexError,), "words": {"index": "what is selected by"}},
    "Schedule.__call__": {"called": "cosine"},
    **{f"{name}.__call__": {"words": dict.fromkeys(("outputs", "targets"), "(outputs|targets)"), "called": called}
       for name, called in {"CrossEntropyLoss": "CrossEntropyLoss", "ClassLoss": "NLLLoss", "PointwiseLoss": "MSELoss",
                            "BCELoss": "BCELoss", "PoissonNLLLoss": "PoissonNLLLoss", "WeightedSum": "WeightedSum",
                            "Metric": "top_k"}.items()},
    **{name: {"words": dict.fromkeys(("outputs", "targets"), "(outputs|targets)")}
       for name in ("accuracy", "binary_accuracy", "mean_absolute_error", "mean_squared_error")},
    "train_val_split": {"words": {"labels": "(labels|samples)", "validation": "(validation|samples)"}},
    "k_folds": {"words": dict.fromkeys(("labels", "k"), "(labels|samples|k)")},
    "load_weights": {"errors": (FileNotFoundError,)}, "load_model": {"errors": (OSError,)},
    "Model.predict": {"called": "Model|predict|Flatten|Linear"},
    "warmup": {"never": {"schedule": CALLABLE}}, "sequence": {"never": {"schedules": CALLABLE}},
    "minimise": {"never": {"net": CALLABLE, "loss": CALLABLE, "max_iter": LARGE}, "called": "minimise"},
    "update_bn": {"called": "update_bn|Sequential|Linear|BatchNorm1d", "words": {"batches": "batch|x\\b"}},
    "apply": {"never": {"weight": CALLABLE, "bias": CALLABLE}},
    **dict.fromkeys(("gradient_check", "sanity_check"), {
        "never": {"net": CALLABLE, "loss": CALLABLE, "optimizer": CALLABLE},
        "words": dict.fromkeys(("x", "y", "net"), "(x|y|loss|net)")}),
    "lr_range_test": {"never": {"loss": CALLABLE}, "words": {"batches": "batch|loss", "optimizer": "optimizer",
                                                             "net": "net", "lr_min": "lr_m"}},
    **dict.fromkeys(("saliency", "grad_cam", "activation_report"), {"words": {"net": "net", "x": "x"}}),
    "tta": {"never": {"net": CALLABLE, "views": CALLABLE, "times": LARGE},
            "called": "tta|predict|Normalize|DataLoader|Augment"},
    **dict.fromkeys(("Ensemble.probabilities", "Ensemble.__call__"), {"called": "Ensemble|Linear"}),
    "paths": {"never": {"function": CALLABLE}}, "decision_regions": {"never": {"net": CALLABLE}},
    **dict.fromkeys(("misclassified", "neighbours", "templates", "receptive_field", "overlay"), {
        "words": dict.fromkeys(("x", "labels", "predictions", "classes", "queries", "found", "weight", "shape", "heat",
                                "gradient", "image"),
                               "(x|labels|predictions|classes|queries|found|weight|shape|heat|gradient|image)")}),
}
DRAWN = importlib.util.find_spec("matplotlib") is not None


def _of_table(name):
    function, right, _ = TABLE[name]
    parts = [part for part in name.split(".") if not part.startswith("__")]
    return Target(name, lambda: (function, right(), []), **{"called": rf"\b({'|'.join(parts)})\b"} | SAID.get(name, {}))


def _optimizer():
    net = Linear(4, 3)
    return net, optim.Adam(net.parameters(), lr=0.1, max_norm=1.0)


def _step():
    """With gradients that somebody has assigned."""
    net, optimizer = _optimizer()

    def step(weight, bias):
        net.weight.grad, net.bias.grad = weight, bias
        before = net.weight.value.tobytes(), net.bias.value.tobytes(), repr(optimizer.state_dict())
        try:
            optimizer.step()
        except (TypeError, ValueError):
            assert (net.weight.value.tobytes(), net.bias.value.tobytes(), repr(optimizer.state_dict())) == before
            raise

    return step, {"weight": np.ones((3, 4), np.float32), "bias": np.ones(3, np.float32)}, []


def _load_state():
    net, optimizer = _optimizer()
    return optimizer.load_state_dict, {"state_dict": optimizer.state_dict()}, [net, optimizer]


def _fit():
    net, optimizer = _optimizer()
    trainer = Trainer(net, losses.CrossEntropyLoss(), optimizer, [])
    return trainer.fit, {"train_batches": [(X, Y)], "epochs": 1}, [net.parameters(), optimizer]


def _validation():
    """What it is shows when the first epoch has been trained."""
    fit, given, _ = _fit()
    return fit, given | {"validation": [(X, Y)]}, []


def _batch():
    """One batch of a training."""
    net, optimizer = _optimizer()
    trainer = Trainer(net, losses.CrossEntropyLoss(), optimizer, [])
    return lambda x, y: trainer.fit([(x, y)], 1), {"x": X, "y": Y}, [net.parameters(), optimizer]


def _weights():
    net = Linear(4, 3)
    save_weights(net, "weights")
    return load_weights, {"net": net, "path": "weights"}, [net]


def _apply():
    net = Linear(4, 3)
    return init.apply, {"net": net, "weight": init.ones, "bias": init.zeros}, [net]


def _groups():
    return (lambda **group: optim.SGD([{"params": parameters(), **group}], lr=0.1),
            {"momentum": 0.9, "weight_decay": 0.1, "lr_scale": 1.0}, [])


# Rows of the table that are targets below, or among layers, or start processes.
ELSEWHERE = ("warmup.warmup", "Parameter", "manual_seed", "load_weights", "apply", "Trainer.fit",
             "Optimizer.load_state_dict", *models.__all__)
BATCH = r"(validation|x|y|labels|targets|images|batch|batches|logits|shape|scores)\b"
TARGETS = [
    *(_of_table(name) for name in TABLE if name not in ELSEWHERE
      and (DRAWN or not TABLE[name][0].__module__.startswith("fastnet.plot"))),
    Target("Adam.step", _step, "Adam", dict.fromkeys(("weight", "bias"), "grad")),
    Target("Adam.load_state_dict", _load_state, "Adam"),
    *(Target("Trainer.fit", make, "fit|Trainer|Linear|Loss", dict.fromkeys(("train_batches", "validation"), BATCH),
             {"epochs": LARGE}, (training.NonFiniteError,)) for make in (_fit, _validation)),
    Target("a batch", _batch, ".", {"x": BATCH, "y": BATCH}, errors=(training.NonFiniteError,)),
    Target("load_weights", _weights, "load_weights", {"net": "(net|state)"}, errors=(FileNotFoundError,)),
    Target("apply", _apply, "apply", **SAID["apply"]),
    Target("a group", _groups, "SGD"),
]
# Names that need no target, with the reason.
EXEMPT = {
    **dict.fromkeys(("Schedule", "Callback", "CheckpointError", "NonFiniteError", "DownloadError", "Metric"),
                    "takes nothing"),
    "Optimizer.load_state_dict": "as that of Adam",
    "warmup.warmup": "starts processes",
}
