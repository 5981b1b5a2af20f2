"""Random configurations of losses, {loss: draw(rng)}: how it is made, what it is called with, and what PyTorch says."""
from typing import NamedTuple

import numpy as np

from fastnet import losses


class Config(NamedTuple):
    """A loss, outputs and targets in float64, and judge(torch, x, t), the same of PyTorch."""

    loss: losses.Loss
    x: np.ndarray
    t: np.ndarray
    judge: object


def one(rng, *choices):
    return choices[rng.integers(len(choices))]


def shape(rng):
    """Of rows, images, sequences, volumes."""
    c = int(rng.integers(1, 12))
    return one(rng, (5, c), (3, c), (3, c), (2, c, 3, 2), (3, c, 4), (2, c, 2, 1, 3))


def some(rng, **draws):
    """Some of the options, each by its draw."""
    return {name: draw(rng) for name, draw in draws.items() if rng.random() < 0.6}


def reduction(rng):
    return one(rng, "mean", "sum")


def of(name, options, x, t, torch_name=None, torch_options=None):
    """The configuration whose judge is PyTorch's loss of that name."""
    def judge(torch, x, t):
        given = {key: torch.tensor(value) if isinstance(value, np.ndarray) else value
                 for key, value in (options if torch_options is None else torch_options).items()}
        return getattr(torch.nn, torch_name or name)(**given)(x, t)
    return Config(getattr(losses, name)(**options), x, t, judge)


def share(rng, shape):
    x = np.exp(rng.standard_normal(shape))
    return x / x.sum(axis=1, keepdims=True)


def labels(rng, shape, ignore=None):
    found = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    return np.where(rng.random(found.shape) < 0.3, ignore, found) if ignore is not None else found


def of_labels(name):
    def draw(rng):
        at = shape(rng)
        ignore = one(rng, None, -100, -1, 0)
        options = some(rng, weight=lambda rng: rng.random(at[1]) + 0.1, reduction=reduction)
        if name == "CrossEntropyLoss":
            options |= some(rng, label_smoothing=lambda rng: float(rng.random()))
        if ignore not in (None, -100):
            options["ignore_index"] = ignore
        x = rng.standard_normal(at)
        t = labels(rng, at, ignore)
        t[0] = at[1] - 1    # so that not all are ignored
        if at[1] == 1:
            options.pop("ignore_index", None)
            t[...] = 0
        return of(name, options, x if name == "CrossEntropyLoss" else np.log(share(rng, at)), t)
    return draw


def soft(rng):
    at = shape(rng)
    options = some(rng, weight=lambda rng: rng.random(at[1]), reduction=reduction,
                   label_smoothing=lambda rng: float(rng.random()))
    return of("CrossEntropyLoss", options, rng.standard_normal(at), share(rng, at))


def margins(rng):
    at = 4, int(rng.integers(1, 9))
    options = some(rng, weight=lambda rng: rng.random(at[1]), reduction=reduction, p=lambda rng: one(rng, 1, 2),
                   margin=lambda rng: float(rng.uniform(0.1, 3)))
    return of("MultiMarginLoss", options, rng.standard_normal(at), labels(rng, at))


def focal(rng):
    at = shape(rng)
    gamma = one(rng, 0.0, 0.5, 1.0, 2.0, 3.7) if at[1] > 1 else 2.0     # autograd takes the root's slope at 0
    alpha = one(rng, None, rng.random(at[1]))

    def judge(torch, x, t):
        log = torch.log_softmax(x, 1).gather(1, t[:, None])[:, 0]
        losses = -(1 - log.exp())**gamma * log if gamma else -log
        return (losses if alpha is None else losses * torch.tensor(alpha)[t]).mean()
    return Config(losses.FocalLoss(gamma, alpha), rng.standard_normal(at), labels(rng, at), judge)


def sigmoid_focal(rng):
    at, gamma, alpha = shape(rng), one(rng, 0.0, 0.5, 2.0), one(rng, None, 0.25, 1.0)

    def judge(torch, x, t):     # as torchvision.ops.sigmoid_focal_loss
        p, loss = torch.sigmoid(x), torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
        loss = loss * (1 - p * t - (1 - p) * (1 - t))**gamma
        return (loss if alpha is None else (alpha * t + (1 - alpha) * (1 - t)) * loss).mean()
    t = one(rng, rng.random(at), rng.integers(0, 2, at).astype(float))
    return Config(losses.SigmoidFocalLoss(gamma, alpha), rng.standard_normal(at), t, judge)


def epsilon_softmax(rng):
    at, epsilon = shape(rng), float(rng.uniform(0.05, 2))
    cost = one(rng, None, "zero-one", rng.random((at[1],) * 2) * (1 - np.eye(at[1])))
    table = np.zeros((at[1],) * 2) if cost is None else 1 - np.eye(at[1]) if isinstance(cost, str) else cost

    def judge(torch, x, t):
        reached = x + torch.tensor(table)[t].movedim(-1, 1)
        return (epsilon * torch.logsumexp(reached / epsilon, 1) - x.gather(1, t[:, None])[:, 0]).mean()
    return Config(losses.EpsilonSoftmaxLoss(epsilon, cost), rng.standard_normal(at), labels(rng, at), judge)


def numbers(name, **draws):
    def draw(rng):
        at = shape(rng)
        return of(name, some(rng, reduction=reduction, **draws), rng.standard_normal(at), rng.standard_normal(at))
    return draw


def weights(at):
    """A draw of weights that are spread over the shape."""
    def draw(rng):
        return rng.random(one(rng, at, at[1:], at[-1:], (at[0], *[1] * (len(at) - 1)), (1,))) + 0.1
    return draw


def binary(name):
    def draw(rng):
        at = shape(rng)
        options = some(rng, reduction=reduction, weight=weights(at))
        if name == "BCEWithLogitsLoss":
            options |= some(rng, pos_weight=weights(at))
        x = rng.uniform(0.02, 0.98, at) if name == "BCELoss" else 3 * rng.standard_normal(at)
        return of(name, options, x, one(rng, rng.random(at), rng.integers(0, 2, at).astype(float)))
    return draw


def multi_label(rng):
    at = 5, int(rng.integers(1, 9))
    options = some(rng, reduction=reduction, weight=lambda rng: rng.random(at[1]))
    return of("MultiLabelSoftMarginLoss", options, rng.standard_normal(at), rng.integers(0, 2, at).astype(float))


def divergence(rng):
    at, options = shape(rng), some(rng, log_target=lambda rng: True)
    options["reduction"] = one(rng, "mean", "sum", "batchmean")
    t = share(rng, at)
    if options.get("log_target"):
        t = np.log(t)
    else:
        t.flat[0] = 0

    def judge(torch, x, t):     # PyTorch warns of its own mean
        each = torch.nn.functional.kl_div(x, t, reduction="none", log_target="log_target" in options)
        return each.sum() / {"mean": each.numel(), "sum": 1, "batchmean": len(x)}[options["reduction"]]
    return Config(losses.KLDivLoss(**options), np.log(share(rng, at)), t, judge)


def hinge(rng):
    at, squared, how = shape(rng), one(rng, False, True), reduction(rng)

    def judge(torch, x, t):
        left = torch.relu(1 - t * x)
        return getattr(left * left if squared else left, how)()
    return Config(losses.HingeLoss(squared, how), rng.standard_normal(at), one(rng, -1.0, 1) * np.sign(
        rng.standard_normal(at)), judge)


def soft_margin(rng):
    at = shape(rng)
    return of("SoftMarginLoss", some(rng, reduction=reduction), rng.standard_normal(at),
              np.sign(rng.standard_normal(at)))


def poisson(rng):
    at = shape(rng)
    options = some(rng, reduction=reduction, log_input=lambda rng: False, full=lambda rng: True,
                   eps=lambda rng: one(rng, 1e-8, 0.1))
    x = rng.standard_normal(at) if options.get("log_input", True) else rng.random(at) + 0.1
    return of("PoissonNLLLoss", options, x, rng.poisson(2.0, at).astype(float))


DRAWS = {
    "CrossEntropyLoss": of_labels("CrossEntropyLoss"), "CrossEntropyLoss, probabilities": soft,
    "NLLLoss": of_labels("NLLLoss"), "MultiMarginLoss": margins, "FocalLoss": focal,
    "EpsilonSoftmaxLoss": epsilon_softmax,
    "MSELoss": numbers("MSELoss"), "L1Loss": numbers("L1Loss"),
    "SmoothL1Loss": numbers("SmoothL1Loss", beta=lambda rng: one(rng, 0.0, 0.3, 2.0)),
    "HuberLoss": numbers("HuberLoss", delta=lambda rng: one(rng, 0.3, 2.0)),
    "BCELoss": binary("BCELoss"), "BCEWithLogitsLoss": binary("BCEWithLogitsLoss"),
    "MultiLabelSoftMarginLoss": multi_label, "SigmoidFocalLoss": sigmoid_focal, "KLDivLoss": divergence,
    "HingeLoss": hinge, "SoftMarginLoss": soft_margin, "PoissonNLLLoss": poisson,
}
