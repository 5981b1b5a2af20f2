"""Losses that compare outputs with targets of the same shape, element by element. Value and gradient come from one
kernel, a row of `fastnet.kernels.pointwise` for each loss."""
import numpy as np

from fastnet import arguments
from fastnet.losses.base import Loss, LossValue, above, at_least


class PointwiseLoss(Loss):
    """outputs and targets have one shape, whatever it is; they are not broadcast, because (N, 1) against (N,) is nearly
    always a mistake.

    A subclass says its `function`, with what numbers, and which targets and weights the kernel gets. The mean is over
    all elements; with weights of samples it divides by their sum times the number of elements in a sample.
    """

    function = None

    def __call__(self, outputs, targets, sample_weight=None):
        outputs = self.numbers(outputs, "outputs")
        targets, weight = self.prepared(outputs, self.matching(targets, outputs))
        sample_weight = self.sample_weights(sample_weight, outputs)
        total = outputs.size
        if sample_weight is not None:
            total = total // len(outputs) * sample_weight.sum(dtype=np.float64)
            across = sample_weight.reshape(-1, *[1] * (outputs.ndim - 1))
            weight = np.broadcast_to(across, outputs.shape) if weight is None else weight * across
        alpha, beta, factor = self.constants(outputs)
        scale = self.scale(self.mean_over(total, outputs)) * factor
        return LossValue(*self.ops.pointwise_loss(outputs, targets, self.function, alpha, beta, weight, scale))

    def constants(self, outputs):
        """(alpha, beta, by what all is multiplied)."""
        return 0.0, 0.0, 1.0

    def prepared(self, outputs, targets):
        """The targets that the kernel gets, and what each element is multiplied by: None, or of the outputs' shape."""
        return targets, None

    def mean_over(self, total, outputs):
        """What the mean divides by, where the elements' samples have weights that add up to `total`."""
        return total

    def matching(self, targets, outputs):
        """The targets as an array of the outputs' shape and dtype."""
        targets = self.numbers(targets, "targets", like=outputs)
        if outputs.shape != targets.shape:
            remedy = ""
            if outputs.size == targets.size and 1 in (outputs.ndim, targets.ndim):
                remedy = ": give targets[:, None]" if targets.ndim == 1 else ": give targets.ravel()"
            raise ValueError(f"{type(self).__name__}: outputs and targets must have the same shape, got {outputs.shape}"
                             f" and {targets.shape}{remedy}")
        return targets

    def spread(self, name, outputs):
        """The option `name`, an array, over the shape of outputs; None stays."""
        value = getattr(self, name)
        if value is None:
            return None
        try:
            return np.broadcast_to(value.astype(outputs.dtype), outputs.shape)
        except ValueError:
            raise ValueError(f"{self.said('outputs')} must have a shape that {name}, of shape {value.shape}, can be "
                             f"spread over, got {outputs.shape}") from None


def _array(value, name):
    """The rule of an option that is an array of numbers of at least 0, or None."""
    if value is None:
        return None
    value = np.array(arguments.values(value, name), np.float64)
    if not value.size:
        raise ValueError(f"{name} must hold numbers, got an array of shape {value.shape}")
    return arguments.not_negative(value, name)


class MSELoss(PointwiseLoss):
    """Mean squared error: of each element (outputs - targets)^2. The mean is over all elements.

    >>> value, gradient = MSELoss()(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (2.0, array([0., 2.]))
    """

    function = "squared"

    def __init__(self, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend)


class L1Loss(PointwiseLoss):
    """Mean absolute error: of each element |outputs - targets|, whose slope at 0 is 0.

    >>> value, gradient = L1Loss()(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (1.0, array([0. , 0.5]))
    """

    function = "absolute"

    def __init__(self, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend)


class HuberLoss(PointwiseLoss):
    """Squared near the target, absolute far from it: with e = |outputs - targets| of each element e^2 / 2 up to delta,
    and delta e - delta^2 / 2 beyond. Huber, Robust Estimation of a Location Parameter (1964).

    >>> value, gradient = HuberLoss(delta=0.5)(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (0.4375, array([0.  , 0.25]))
    """

    function = "huber"
    rules = {"delta": above(0)}

    def __init__(self, reduction="mean", delta=1.0, backend="cpu"):
        super().__init__(reduction, backend, delta=delta)

    def constants(self, outputs):
        return self.delta, 0.0, 1.0


class SmoothL1Loss(PointwiseLoss):
    """With e = |outputs - targets| of each element e^2 / (2 beta) up to beta, and e - beta / 2 beyond: `HuberLoss` of
    delta = beta over beta; `L1Loss` for beta = 0. Girshick, Fast R-CNN (2015), section 2.3.

    >>> value, gradient = SmoothL1Loss(beta=0.5)(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (0.875, array([0. , 0.5]))
    """

    rules = {"beta": at_least(0)}

    def __init__(self, reduction="mean", beta=1.0, backend="cpu"):
        super().__init__(reduction, backend, beta=beta)

    @property
    def function(self):
        """The row of the table."""
        return "huber" if self.beta else "absolute"

    def constants(self, outputs):
        return self.beta, 0.0, 1 / self.beta if self.beta else 1.0


class BCELoss(PointwiseLoss):
    """Of each element -t log(p) - (1 - t) log(1 - p), where outputs p are probabilities, such as `Sigmoid` gives, and
    targets t lie between 0 and 1; logarithms are -100 at least. `BCEWithLogitsLoss` is the same and more exact.

    `weight` multiplies the elements, spread over the shape of outputs; it does not enter what the mean divides by, as
    in PyTorch. ValueError for outputs outside of 0 to 1.

    >>> value, gradient = BCELoss()(np.array([0.5, 0.8]), np.array([0.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (0.4581, array([ 1.   , -0.625]))
    """

    task, function = "probabilities", "binary"
    rules = {"weight": _array}

    def __init__(self, weight=None, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, weight=weight)

    def __call__(self, outputs, targets, sample_weight=None):
        value, gradient = super().__call__(outputs, targets, sample_weight)
        if not -np.inf < value < np.inf:    # the logarithm of what is no probability is no number
            numbers = np.asarray(outputs)
            wrong = (numbers < 0) | (numbers > 1)
            if wrong.any():
                raise ValueError(f"{self.said('outputs')} must be probabilities between 0 and 1, got "
                                 f"{numbers[wrong].ravel()[0]}: end the net with Sigmoid(), or take BCEWithLogitsLoss")
        return LossValue(value, gradient)

    def prepared(self, outputs, targets):
        return targets, self.spread("weight", outputs)


class BCEWithLogitsLoss(PointwiseLoss):
    """Sigmoid and binary cross-entropy in one pass: of each element -t log(p) - (1 - t) log(1 - p) with
    p = 1 / (1 + exp(-outputs)), targets t between 0 and 1.

    `weight` multiplies the elements, and `pos_weight`, in most cases one number a class, the part of t; both are spread
    over the shape of outputs, and do not enter what the mean divides by, as in PyTorch.

    >>> value, gradient = BCEWithLogitsLoss()(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (0.41, array([ 0.25  , -0.0596]))
    """

    task, function = "yes/no", "binary_with_logits"
    rules = {"weight": _array, "pos_weight": _array}

    def __init__(self, weight=None, reduction="mean", pos_weight=None, backend="cpu"):
        super().__init__(reduction, backend, weight=weight, pos_weight=pos_weight)

    def prepared(self, outputs, targets):
        """With pos_weight w the loss is that of the target w t / a, a times, with a = w t + 1 - t."""
        weight = self.spread("weight", outputs)
        if self.pos_weight is None:
            return targets, weight
        part = self.spread("pos_weight", outputs) * targets
        whole = part + (1 - targets)
        targets = np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
        return targets, whole if weight is None else whole * weight


class MultiLabelSoftMarginLoss(PointwiseLoss):
    """`BCEWithLogitsLoss` of outputs (..., C), of whose C classes the mean is taken whatever the reduction is;
    `weight`, one number a class, multiplies the classes and does not enter what the mean divides by.

    >>> value, gradient = MultiLabelSoftMarginLoss()(np.array([[0.0, 2.0]]), np.array([[0.0, 1.0]]))
    >>> round(value, 4), gradient.round(4)
    (0.41, array([[ 0.25  , -0.0596]]))
    """

    task, function = "yes/no", "binary_with_logits"
    rules = {"weight": _array}

    def __init__(self, weight=None, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, weight=weight)

    def prepared(self, outputs, targets):
        return targets, self.spread("weight", outputs)

    def constants(self, outputs):
        return 0.0, 0.0, 1 / outputs.shape[-1] if self.reduction == "sum" else 1.0


class SigmoidFocalLoss(PointwiseLoss):
    """Binary cross-entropy in which what is right already counts little: of each element (alpha t + (1 - alpha)
    (1 - t)) q^gamma times `BCEWithLogitsLoss`, where p = 1 / (1 + exp(-outputs)), and q is 1 - p for the target t = 1
    and p for t = 0.

    alpha, from 0 to 1, balances the two, None does not; targets lie between 0 and 1. `FocalLoss` is the form for one
    of several classes. Lin et al., Focal Loss for Dense Object Detection (2017), equation 5.

    >>> value, gradient = SigmoidFocalLoss()(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (0.0652, array([ 0.1119, -0.0006]))
    """

    task, function = "yes/no", "focal"
    rules = {"gamma": at_least(0), "alpha": lambda value, name: None if value is None else at_least(0, 1)(value, name)}

    def __init__(self, gamma=2.0, alpha=0.25, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, gamma=gamma, alpha=alpha)

    def constants(self, outputs):
        return (0.5, self.gamma, 2.0) if self.alpha is None else (self.alpha, self.gamma, 1.0)


class KLDivLoss(PointwiseLoss):
    """Kullback-Leibler divergence: of each element t (log t - x), where outputs x are logarithms of probabilities, such
    as `LogSoftmax` gives, and targets t probabilities, 0 where t is 0; with log_target=True targets are logarithms too.

    reduction="batchmean" divides by the number of samples, which is what the divergence means, "mean", PyTorch's
    default, by that of elements; with weights of samples, by their sum, or that times the elements of a sample.

    >>> value, gradient = KLDivLoss("batchmean")(np.log([[0.5, 0.5]]), np.array([[0.75, 0.25]]))
    >>> round(value, 4), gradient.round(4)
    (0.1308, array([[-0.75, -0.25]]))
    """

    task, reductions = "distributions", ("mean", "sum", "batchmean")
    rules = {"log_target": arguments.flag}

    def __init__(self, reduction="mean", log_target=False, backend="cpu"):
        super().__init__(reduction, backend, log_target=log_target)

    @property
    def function(self):
        """The row of the table."""
        return "kl_log" if self.log_target else "kl"

    def mean_over(self, total, outputs):
        return total * len(outputs) / outputs.size if self.reduction == "batchmean" else total


class SignedLoss(PointwiseLoss):
    """Targets are -1 and 1."""

    task = "signs"

    def prepared(self, outputs, targets):
        if not (np.abs(targets) == 1).all():
            raise ValueError(f"{self.said('targets')} must be -1 and 1, got {targets[np.abs(targets) != 1][0]}: for 0 "
                             "and 1 give 2 * targets - 1")
        return targets, None


class HingeLoss(SignedLoss):
    """The hinge loss of two classes: of each element max(0, 1 - t x) with targets t of -1 and 1, its square with
    squared=True. Cortes and Vapnik, Support-vector Networks (1995); for more classes see `MultiMarginLoss`.

    >>> value, gradient = HingeLoss()(np.array([0.5, 2.0]), np.array([-1.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (0.75, array([0.5, 0. ]))
    """

    rules = {"squared": arguments.flag}

    def __init__(self, squared=False, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, squared=squared)

    @property
    def function(self):
        """The row of the table."""
        return "squared_hinge" if self.squared else "hinge"


class SoftMarginLoss(SignedLoss):
    """Of each element log(1 + exp(-t x)) with targets t of -1 and 1.

    >>> value, gradient = SoftMarginLoss()(np.array([0.5, 2.0]), np.array([-1.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (0.5505, array([ 0.3112, -0.0596]))
    """

    function = "soft_margin"

    def __init__(self, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend)


class PoissonNLLLoss(PointwiseLoss):
    """Of each element the negative logarithm of Poisson's probability of the count t at the rate exp(x), that is
    exp(x) - t x; with log_input=False x is the rate itself, and it is x - t log(x + eps). With full=True the part that
    no output changes is added in Stirling's form, t log(t) - t + log(2 pi t) / 2 where t is above 1.

    >>> value, gradient = PoissonNLLLoss()(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> round(value, 4), gradient.round(4)
    (9.4019, array([0.8591, 9.5428]))
    """

    rules = {"log_input": arguments.flag, "full": arguments.flag, "eps": above(0)}

    def __init__(self, log_input=True, full=False, eps=1e-8, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, log_input=log_input, full=full, eps=eps)

    @property
    def function(self):
        """The row of the table."""
        return "poisson" if self.log_input else "poisson_rate"

    def constants(self, outputs):
        return 0.0 if self.log_input else self.eps, 0.0, 1.0

    def __call__(self, outputs, targets, sample_weight=None):
        value, gradient = super().__call__(outputs, targets, sample_weight)
        if self.full:
            counts = np.maximum(np.asarray(targets, np.float64), 1)
            more = np.where(counts > 1, counts * np.log(counts) - counts + np.log(2 * np.pi * counts) / 2, 0)
            each = more.reshape(len(more), -1).sum(axis=1)
            weight = np.ones(len(each)) if sample_weight is None else np.asarray(sample_weight, np.float64)
            value += float(each @ weight) * self.scale(weight.sum() * more[0].size)
        return LossValue(value, gradient)
