"""Optimisers: how a gradient changes a parameter.

``SGD(net.parameters(), lr=0.1, momentum=0.9)``; after each backward pass ``optimizer.step()`` updates every parameter
that has a gradient, in one fused pass each. There is no zero_grad, because backward assigns gradients. ``optimizer.lr``
may be set at any time.

Instead of parameters one may give groups, as in PyTorch: ``[{"params": weights}, {"params": biases,
"weight_decay": 0.0}]``; what a group does not name it takes from the arguments. The learning rate is one for all, times
the group's "lr_scale" where it has one: a schedule then moves all groups together.
`decay_groups` makes the two groups that most recipes want.

With ``max_norm=1.0`` gradients are clipped: each counts as if it were multiplied by min(1, max_norm / (norm + 1e-6)),
where norm is the 2-norm over all gradients of all groups, as PyTorch's clip_grad_norm_ has it. ``parameter.grad``
itself stays as it is. ``optimizer.grad_norm`` is the norm in the last step, before clipping, or None without max_norm.
A norm that is not finite raises nothing, as in PyTorch: with a NaN in a gradient every updated parameter becomes NaN;
with an infinity the number that it belongs to does, and all others see a gradient of 0. (A Trainer stops before such a
step.) Source: Pascanu et al., On the difficulty of training recurrent neural networks (2013), algorithm 1.
"""
from math import inf, sqrt
from numbers import Real

import numpy as np

from fastnet import kernels


class Optimizer:
    """What all optimisers share: groups, checks, state. A subclass gives `state_names`, `check` and `update`."""

    state_names = ()  # what it keeps for each parameter: "step" is a count, all else arrays of the parameter's shape

    def __init__(self, params, lr, max_norm, backend, **defaults):
        self.lr = lr
        self.max_norm = max_norm
        self.grad_norm = None
        self.ops = kernels.load(backend)
        self.param_groups = self._groups(params, {**defaults, "lr_scale": 1.0})
        self._entries = [(parameter, group) for group in self.param_groups for parameter in group["params"]]
        self._state = [{} for _ in self._entries]
        if not self._entries:
            raise ValueError(f"{self._name}: got no parameters; give the parameters() of a net that has some")
        if len({id(parameter) for parameter, _ in self._entries}) < len(self._entries):
            raise ValueError(f"{self._name}: a parameter was given twice; each step would update it twice")

    @property
    def lr(self):
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, value):
        self._lr = self.in_range("lr", value)

    @property
    def max_norm(self):
        """The norm that gradients are clipped to, or None for no clipping."""
        return self._max_norm

    @max_norm.setter
    def max_norm(self, value):
        if value is not None and self.in_range("max_norm", value) == 0:
            raise ValueError(f"{self._name}: max_norm must be above 0, or None for no clipping, got {value!r}")
        self._max_norm = value

    def step(self):
        """Update in place every parameter that has a gradient; one whose grad is None (frozen, unused) stays.

        ValueError where a gradient does not have the shape of its parameter; then nothing is updated.
        """
        todo = []
        for (parameter, group), state in zip(self._entries, self._state, strict=True):
            value, grad = parameter.value, parameter.grad
            if grad is None:
                continue
            if grad.shape != value.shape:
                raise ValueError(f"{self._name}: got a gradient of shape {grad.shape} for a parameter of shape "
                                 f"{value.shape}; nothing was updated")
            todo.append((value, grad, group, state))
        scale = self._clip([grad for _, grad, _, _ in todo])
        for value, grad, group, state in todo:
            self.update(value, grad, group, state, self._lr * group["lr_scale"], scale)

    def _clip(self, grads):
        """What all gradients are to be multiplied by, so that their norm is at most max_norm."""
        if self.max_norm is None:
            self.grad_norm = None
            return 1.0
        self.grad_norm = sqrt(self.ops.sum_of_squares(grads))
        return min(self.max_norm / (self.grad_norm + 1e-6), 1.0)  # of a NaN and 1, the first, which is the NaN

    def state_dict(self):
        """What resuming a training needs, as copied arrays: "lr" and for the i-th parameter "i.name"."""
        state = {f"{i}.{name}": np.array(value) for i, entry in enumerate(self._state) for name, value in entry.items()}
        return {"lr": np.array(self.lr), **state}

    def load_state_dict(self, state_dict):
        """Take over what `state_dict` of a like optimiser gave. Where it does not fit: ValueError, nothing changes."""
        state_dict = dict(state_dict)
        if "lr" not in state_dict:
            raise ValueError(f"{self._name}: the state has no 'lr'")
        lr = self.in_range("lr", float(state_dict.pop("lr")))
        state = [{} for _ in self._entries]
        for i, (parameter, _) in enumerate(self._entries):
            keys = {name: f"{i}.{name}" for name in self.state_names}
            if not any(key in state_dict for key in keys.values()):
                continue  # a parameter that had no step yet
            for name, key in keys.items():
                if key not in state_dict:
                    raise ValueError(f"{self._name}: the state has no {key!r}")
                value = np.asarray(state_dict.pop(key))
                copy = np.array(0) if name == "step" else np.empty_like(parameter.value)
                if value.shape != copy.shape:
                    raise ValueError(f"{self._name}: expected {key!r} of shape {copy.shape}, got shape {value.shape}")
                copy[...] = value
                state[i][name] = copy
        if state_dict:
            raise ValueError(f"{self._name}: unexpected in the state: {', '.join(map(repr, sorted(state_dict)))}")
        self.lr, self._state = lr, state

    def in_range(self, name, value, below=inf):
        """`value` where 0 <= value < below, as a float; else ValueError with the name."""
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < below:
            limit = "" if below == inf else f" and below {below}"
            raise ValueError(f"{self._name}: {name} must be a finite number of at least 0{limit}, got {value!r}")
        return float(value)

    def _groups(self, params, defaults):
        """The groups as dictionaries, each with "params" and every option, all checked."""
        params = list(params)
        groups = params if params and all(isinstance(group, dict) for group in params) else [{"params": params}]
        result = []
        for group in groups:
            unknown = set(group) - {"params", *defaults}
            if unknown or "params" not in group:
                raise ValueError(f"{self._name}: a group has 'params' and may set {', '.join(defaults)}; "
                                 f"got {', '.join(map(repr, group))}")
            group = {**defaults, **group, "params": list(group["params"])}
            for parameter in group["params"]:
                if not hasattr(parameter, "value") or not hasattr(parameter, "grad"):
                    raise TypeError(f"{self._name}: expected Parameters, got {type(parameter).__name__}; "
                                    "give net.parameters()")
            self.in_range("lr_scale", group["lr_scale"])
            self.check(group)
            result.append(group)
        return result

    @property
    def _name(self):
        return type(self).__name__

    def __repr__(self):
        size = sum(parameter.value.size for parameter, _ in self._entries)
        options = {"lr": self.lr, **self.param_groups[0], "max_norm": self.max_norm}
        del options["params"], options["lr_scale"]
        text = ", ".join(f"{name}={value}" for name, value in options.items())
        return f"{self._name}({len(self._entries)} parameters of {size:,} numbers, {text})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum v where momentum > 0.

    g = grad + weight_decay * value;  v = momentum * v + (1 - dampening) * g, at the first step v = g;
    value -= lr * v, with nesterov=True value -= lr * (g + momentum * v).
    Momentum: Sutskever et al., On the importance of initialization and momentum in deep learning (2013), in PyTorch's
    form, where lr stands outside of v. ValueError names the argument that is out of range.
    """

    state_names = ("momentum_buffer",)

    def __init__(self, params, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
                 max_norm=None, backend="cpu"):
        super().__init__(params, lr, max_norm, backend, momentum=momentum, dampening=dampening,
                         weight_decay=weight_decay, nesterov=nesterov)

    def check(self, options):
        self.in_range("momentum", options["momentum"], below=1)
        self.in_range("weight_decay", options["weight_decay"])
        if self.in_range("dampening", options["dampening"]) > 1:
            raise ValueError(f"SGD: dampening must be between 0 and 1, got {options['dampening']!r}")
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError(f"SGD: nesterov needs a momentum above 0 and dampening 0, got momentum "
                             f"{options['momentum']!r} and dampening {options['dampening']!r}")

    def update(self, value, grad, options, state, lr, scale):
        momentum = options["momentum"]
        velocity = state.get("momentum_buffer")
        first = velocity is None
        if first and momentum:
            velocity = np.zeros_like(value)
        self.ops.sgd_update(value, grad, velocity, lr, momentum, options["dampening"], options["weight_decay"],
                            options["nesterov"], first, scale)
        if momentum:
            state["momentum_buffer"] = velocity


class Adam(Optimizer):
    """Adam: step lengths from the running mean m of the gradient and v of its square, both corrected for their start.

    g = grad + weight_decay * value;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  at step t
    value -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
    With decoupled=True, g = grad and value shrinks by lr * weight_decay * value first: that is `AdamW`.
    Kingma and Ba, Adam (2015), algorithm 1; Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019),
    algorithm 2, with PyTorch's lr in front of the decay. ValueError names the argument that is out of range.
    """

    state_names = ("step", "exp_avg", "exp_avg_sq")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False,
                 max_norm=None, backend="cpu"):
        super().__init__(params, lr, max_norm, backend, betas=betas, eps=eps, weight_decay=weight_decay,
                         decoupled=decoupled)

    def check(self, options):
        if not isinstance(options["betas"], (tuple, list)) or len(options["betas"]) != 2:
            raise ValueError(f"{self._name}: betas must be two numbers, got {options['betas']!r}")
        for i, beta in enumerate(options["betas"]):
            self.in_range(f"betas[{i}]", beta, below=1)
        self.in_range("eps", options["eps"])
        self.in_range("weight_decay", options["weight_decay"])

    def update(self, value, grad, options, state, lr, scale):
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(value), exp_avg_sq=np.zeros_like(value))
        step = int(state["step"]) + 1
        self.ops.adam_update(value, grad, state["exp_avg"], state["exp_avg_sq"], step, lr, *options["betas"],
                             options["eps"], options["weight_decay"], options["decoupled"], scale)
        state["step"] = step


class AdamW(Adam):
    """Adam with decoupled weight decay: value shrinks by lr * weight_decay * value in each step, beside Adam's step."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, max_norm=None,
                 backend="cpu"):
        super().__init__(params, lr, betas, eps, weight_decay, decoupled=True, max_norm=max_norm, backend=backend)


class Muon(SGD):
    """Momentum whose step is made orthogonal: every direction of a weight matrix moves equally far.

    A weight of two axes or more is read as a matrix, (K, C R S) for a convolution, and with d the direction in which
    SGD of the same momentum would go,
    value -= lr * weight_decay * value;  value -= lr * sqrt(max(1, rows / columns)) * orthogonalize(d).
    A step has always the same length: lr alone says how far it goes.
    With normalize=True the weight is first brought to the length sqrt(K), that of K orthonormal rows; lr is then the
    share by which it turns. That suits weights before a batch norm, which does not feel their length.

    It is meant for the weights between the first layer and the last. The others go into a group with
    ``"orthogonal": False``, which is plain `SGD`, with an "lr_scale" of its own:
    ``Muon([{"params": filters}, {"params": others, "orthogonal": False, "lr_scale": 0.5}], lr=0.1)``.
    Jordan, Muon: An optimizer for hidden layers in neural networks (2024); defaults and form as torch.optim.Muon.
    ValueError names the argument that is out of range.
    """

    def __init__(self, params, lr=1e-3, momentum=0.95, weight_decay=0.1, nesterov=True, ns_steps=5, normalize=False,
                 orthogonal=True, max_norm=None, backend="cpu"):
        Optimizer.__init__(self, params, lr, max_norm, backend, momentum=momentum, dampening=0.0,
                           weight_decay=weight_decay, nesterov=nesterov, ns_steps=ns_steps, normalize=normalize,
                           orthogonal=orthogonal)

    def check(self, options):
        super().check(options)
        if not isinstance(options["ns_steps"], int) or options["ns_steps"] < 1:
            raise ValueError(f"{self._name}: ns_steps must be an integer of at least 1, got {options['ns_steps']!r}")
        for parameter in options["params"] if options["orthogonal"] else ():
            if parameter.value.ndim < 2:
                raise ValueError(f"{self._name}: a parameter of shape {parameter.shape} is no matrix; put it into a "
                                 "group with 'orthogonal': False")

    def update(self, value, grad, options, state, lr, scale):
        if not options["orthogonal"]:
            super().update(value, grad, options, state, lr, scale)
            return
        momentum = options["momentum"]
        if scale != 1:
            grad = scale * grad
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = np.zeros_like(value)
        velocity = state["momentum_buffer"]
        velocity *= momentum
        velocity += grad
        direction = velocity
        if options["nesterov"]:
            direction = momentum * velocity
            direction += grad
        rows = direction.reshape(len(value), -1)
        step = orthogonalize(rows, options["ns_steps"], self.ops)
        step *= lr * max(1, rows.shape[0] / rows.shape[1]) ** 0.5
        keep = 1 - lr * options["weight_decay"]
        if options["normalize"]:
            keep *= len(value) ** 0.5 / (keep * np.linalg.norm(value) + 1e-7)
        if keep != 1:
            value *= keep
        value -= step.reshape(value.shape)


def orthogonalize(matrix, steps=5, ops=None):
    """About the nearest matrix with orthonormal rows, or columns where it has fewer of them: U V' for U S V'.

    `steps` times X = P X with P = a I + b A + c A A and A = X X', from X = matrix / norm: a polynomial that drives all
    singular values towards one, and with these quick coefficients leaves them between 0.7 and 1.2. For up to three
    steps only A goes through them, as P A P, which is the smaller matrix; then X takes the product of all P at once.
    More steps without a new A would make rounding grow.
    Jordan, Muon (2024), with its coefficients; Bernstein and Newhouse, Old Optimizer, New Norm (2024), appendix A.
    """
    ops = ops or kernels.load("cpu")
    product = ops.linear_forward  # x y', where every y but X is symmetric

    def polynomial(square):
        factor = -4.775 * square + 2.0315 * product(square, square)
        factor.flat[::len(factor) + 1] += 3.4445
        return factor

    x = matrix / (np.linalg.norm(matrix) + 1e-7)
    wide = x.shape[0] <= x.shape[1]
    x = np.ascontiguousarray(x if wide else x.T)
    for done in range(0, steps, 3):
        square = product(x, x)
        factors = factor = polynomial(square)
        for _ in range(min(steps - done, 3) - 1):
            square = product(product(factor, square), factor)
            factor = polynomial(square)
            factors = product(factor, factors)
        x = ops.linear_backward_input(factors, x)  # factors X
    return x if wide else x.T


def decay_groups(params):
    """Two groups: weights (two axes and more), which decay as the optimiser is told, and the rest, which do not.

    The rest are biases and the scales and shifts of normalisation, where decay does no good: He et al., Bag of Tricks
    for Image Classification with Convolutional Neural Networks (2019), section 3.1.
    """
    params = list(params)
    return [{"params": [parameter for parameter in params if parameter.value.ndim > 1]},
            {"params": [parameter for parameter in params if parameter.value.ndim <= 1], "weight_decay": 0.0}]
