"""Regularisers: what keeps weights small, as values that a `Trainer` is given: ``Trainer(..., regularizer=L2(1e-4))``.

`L1`, `L2` and `ElasticNet` are added to the loss: their value to the reported number, their gradient to the gradients
before ``on_gradients``; `minimise` takes them too. `MaxNorm` puts weights back after each step. ``L2(1e-4) +
MaxNorm(3)`` is both.

Which parameters are meant is said by `on`: "weights", those of two axes and more, so no biases and nothing of norms;
"all"; or a pattern of their names as for files, such as "classifier.*". The default is "weights", as in the textbooks;
the weight_decay of PyTorch, and of the optimisers here, is for all parameters that it is given. Parameters without a
gradient, frozen ones for instance, are left alone.
"""
import fnmatch

import numpy as np

from fastnet import arguments, kernels

__all__ = ["ElasticNet", "L1", "L2", "MaxNorm", "Regularizer", "Together"]


class Regularizer:
    """What all share. A regulariser of one's own defines `add`, `project` or both.

    >>> isinstance(L1(0.1) + L2(0.1), Regularizer)
    True
    """

    def __init__(self, on="weights", backend="cpu"):
        self.on, self.backend = on, backend

    def __setattr__(self, name, value):
        who = f"{type(self).__name__}: {name}"
        if name == "backend":
            value = arguments.choice(value, kernels.BACKENDS, who)
        elif name == "on":
            value = arguments.text(value, who)
        else:
            value = self.checked(name, value, who)
        super().__setattr__(name, value)

    def checked(self, name, value, who):
        """The option `name` as it is kept; ValueError or TypeError where it does not fit."""
        return arguments.number(value, who, 0)

    @property
    def ops(self):
        """The module of operations that `backend` names."""
        return kernels.load(self.backend)

    def meant(self, net):
        """The parameters of the net that are meant, those that have a gradient; ValueError where the net has none of
        that kind at all."""
        named = [(name, parameter) for name, parameter in net.named_parameters()
                 if self.on == "all" or (parameter.value.ndim > 1 if self.on == "weights" else
                                         fnmatch.fnmatchcase(name, self.on))]
        if not named:
            names = ", ".join([name for name, _ in net.named_parameters()][:5])
            raise ValueError(f"{type(self).__name__}: on must be 'weights', 'all' or a pattern of names, got "
                             f"{arguments.shown(self.on)}, which no parameter of the net fits; there are {names} ...")
        return [parameter for _, parameter in named if parameter.grad is not None]

    @property
    def projects(self):
        """Whether weights are put back after a step."""
        return type(self).project is not Regularizer.project

    def add(self, net):
        """Add the gradient of the penalty to those of the net's parameters; the penalty's value."""
        return 0.0

    def project(self, net):
        """Put the net's parameters back where they may be, after a step."""

    def __add__(self, other):
        if not isinstance(other, Regularizer):
            return NotImplemented
        return Together(self, other)

    def __repr__(self):
        options = {name: value for name, value in vars(self).items() if name not in ("on", "backend")}
        on = "" if self.on == "weights" else f", on={self.on!r}"
        return f"{type(self).__name__}({', '.join(f'{value:g}' for value in options.values())}{on})"


class ElasticNet(Regularizer):
    """l1 sum of |w| + l2 sum of w^2 over all weights w that are meant, whose gradient is l1 sign(w) + 2 l2 w.

    Zou and Hastie, Regularization and Variable Selection via the Elastic Net (2005). ValueError for what is negative.

    >>> net = fastnet.Linear(2, 1, bias=False)
    >>> net.weight.value, net.weight.grad = np.float32([[3, -4]]), np.zeros((1, 2), np.float32)
    >>> round(ElasticNet(0.1, 0.1).add(net), 4), net.weight.grad.round(4)
    (3.2, array([[ 0.7, -0.9]], dtype=float32))
    """

    def __init__(self, l1, l2, on="weights", backend="cpu"):
        super().__init__(on, backend)
        self.l1, self.l2 = l1, l2

    def strengths(self):
        """(l1, l2)."""
        return self.l1, self.l2

    def add(self, net):
        total, (l1, l2) = 0.0, self.strengths()
        for parameter in self.meant(net):
            value, parameter.grad = self.ops.weight_penalty(parameter.value, parameter.grad, l1, l2)
            total += value
        return total


class L1(ElasticNet):
    """strength times the sum of |w|, whose gradient is strength sign(w): many weights become 0, or nearly so.

    >>> net = fastnet.Linear(2, 1, bias=False)
    >>> net.weight.value, net.weight.grad = np.float32([[3, -4]]), np.zeros((1, 2), np.float32)
    >>> round(L1(0.1).add(net), 4), net.weight.grad
    (0.7, array([[ 0.1, -0.1]], dtype=float32))
    """

    def __init__(self, strength, on="weights", backend="cpu"):
        Regularizer.__init__(self, on, backend)
        self.strength = strength

    def strengths(self):
        return self.strength, 0.0


class L2(ElasticNet):
    """strength times the sum of w^2, whose gradient is 2 strength w. PyTorch's weight_decay is twice this strength.

    >>> net = fastnet.Linear(2, 1, bias=False)
    >>> net.weight.value, net.weight.grad = np.float32([[3, -4]]), np.zeros((1, 2), np.float32)
    >>> round(L2(0.1).add(net), 4), net.weight.grad.round(4)
    (2.5, array([[ 0.6, -0.8]], dtype=float32))
    """

    def __init__(self, strength, on="weights", backend="cpu"):
        Regularizer.__init__(self, on, backend)
        self.strength = strength

    def strengths(self):
        return 0.0, self.strength


class MaxNorm(Regularizer):
    """After each step, weights whose norm is above `limit` are made as much smaller as that takes.

    `axis` says over which axes, one or a tuple, the norm is taken, the root of the sum of squares: of a linear layer's
    weight (K, C) and a convolution's (K, C / groups, R, S) None means all but the first, so that each output's weights
    have a norm of `limit` at most. Srivastava et al., Dropout (2014), section 5.1.

    >>> net = fastnet.Linear(2, 1, bias=False)
    >>> net.weight.value, net.weight.grad = np.float32([[3, -4]]), np.zeros((1, 2), np.float32)
    >>> MaxNorm(2.5).project(net)
    >>> net.weight.value
    array([[ 1.5, -2. ]], dtype=float32)
    """

    def __init__(self, limit, axis=None, on="weights", backend="cpu"):
        super().__init__(on, backend)
        self.limit, self.axis = limit, axis

    def checked(self, name, value, who):
        if name == "limit":
            return arguments.number(value, who, above=0)
        if value is None:
            return None
        what = "an axis, a tuple of axes, or None"
        axes = value if isinstance(value, tuple) else (value,)
        if not axes:
            raise ValueError(f"{who} must be {what}, got an empty tuple")
        return arguments.integers(axes, who, what=what)

    def project(self, net):
        for parameter in self.meant(net):
            value = parameter.value
            axes = tuple(range(1, value.ndim)) if self.axis is None else self.axis
            if not axes or max(axes) >= value.ndim or len(set(axes)) < len(axes):
                raise ValueError(f"MaxNorm: axis must be axes of each parameter that is meant, got {axes} for one of "
                                 f"shape {value.shape}")
            order = [*(axis for axis in range(value.ndim) if axis not in axes), *axes]
            turned = value.transpose(order)
            columns = int(np.prod([value.shape[axis] for axis in axes]))
            rows = self.ops.clip_rows(turned.reshape(-1, columns), self.limit)
            turned[...] = rows.reshape(turned.shape)

    def __repr__(self):
        axis = "" if self.axis is None else f", axis={self.axis}"
        return f"MaxNorm({self.limit:g}{axis}{'' if self.on == 'weights' else f', on={self.on!r}'})"


class Together(Regularizer):
    """Several regularisers, one after the other; what their sum gives.

    >>> net = fastnet.Linear(2, 1, bias=False)
    >>> net.weight.value, net.weight.grad = np.float32([[3, -4]]), np.zeros((1, 2), np.float32)
    >>> round((L1(0.1) + L2(0.1)).add(net), 4)
    3.2
    """

    def __init__(self, *parts):
        for part in parts:
            arguments.instance(part, Regularizer, "Together: parts", "regularisers, such as L2(1e-4)")
        self.__dict__["parts"] = parts

    @property
    def projects(self):
        return any(part.projects for part in self.parts)

    def add(self, net):
        return sum(part.add(net) for part in self.parts)

    def project(self, net):
        for part in self.parts:
            part.project(net)

    def __repr__(self):
        return " + ".join(map(repr, self.parts))
