"""Adam and its relatives."""
import numpy as np

from fastnet import arguments
from fastnet.optim.base import Optimizer


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
        betas = options["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            kind = ValueError if isinstance(betas, (tuple, list)) else TypeError
            raise kind(f"{self.said('betas')} must be two numbers, got {arguments.shown(betas)}")
        return {**options, "betas": tuple(self.number(f"betas[{i}]", beta, below=1) for i, beta in enumerate(betas)),
                "eps": self.number("eps", options["eps"]),
                "weight_decay": self.number("weight_decay", options["weight_decay"]),
                "decoupled": arguments.flag(options["decoupled"], self.said("decoupled"))}

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
