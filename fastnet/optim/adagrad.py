"""Adagrad."""
from fastnet.optim.base import Optimizer


class Adagrad(Optimizer):
    """Adagrad: the gradient over the root of the sum s of all its squares so far, so that steps become ever shorter.

    g = grad + weight_decay * value;  s += g^2, from s = initial_accumulator_value;  at step t
    value -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps).
    Duchi et al., Adaptive Subgradient Methods for Online Learning and Stochastic Optimization (2011), section 1.1, with
    the diagonal of G; lr_decay and eps are PyTorch's. ValueError names the argument that is out of range.

    >>> weight = fastnet.Parameter([1, 1])
    >>> weight.grad, optimizer = np.float32([1, -200]), Adagrad([weight], lr=0.1)
    >>> for step in range(2):  # the first of length lr, the second of lr / sqrt(2)
    ...     optimizer.step()
    ...     print(weight.value.round(4))
    [0.9 1.1]
    [0.8293 1.1707]
    """

    state_names = ("step", "sum")

    def __init__(self, params, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, *,
                 maximize=False, max_norm=None, backend="cpu"):
        super().__init__(params, lr, max_norm, backend, lr_decay=lr_decay, weight_decay=weight_decay,
                         initial_accumulator_value=initial_accumulator_value, eps=eps, maximize=maximize)

    def check(self, options):
        return {**options, **{name: self.number(name, options[name]) for name in (
            "lr_decay", "weight_decay", "initial_accumulator_value", "eps")}}

    def update(self, values, grads, options, states, lr, scale):
        total = self.kept("sum", values, states, options["initial_accumulator_value"])
        step = int(states[0].get("step", 0)) + 1
        self.ops.adagrad_update(values, grads, total, lr / (1 + (step - 1) * options["lr_decay"]), options["eps"],
                                options["weight_decay"], scale)
        for state in states:
            state["step"] = step
