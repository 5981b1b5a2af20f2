"""RMSprop."""
from fastnet import arguments
from fastnet.optim.base import Optimizer


class RMSprop(Optimizer):
    """RMSprop: the gradient over the root of the running mean v of its square.

    g = grad + weight_decay * value;  v = alpha v + (1 - alpha) g^2;  d = g / (sqrt(v) + eps);  value -= lr * d, with
    momentum > 0 instead  u = momentum * u + d  and  value -= lr * u.
    With centered=True the variance v - a^2 takes the place of v, where a = alpha a + (1 - alpha) g. It is close to 0
    for a gradient that hardly changes, where eps alone keeps the step short; rounding may make it negative, and the
    step NaN, as in PyTorch: then eps should be larger, or alpha smaller.
    Tieleman and Hinton, Lecture 6.5 (2012); Graves, Generating Sequences With Recurrent Neural Networks (2013),
    equations 38 to 41; eps stands outside of the root, as in PyTorch. ValueError names the argument that is out of
    range.

    >>> weight = fastnet.Parameter([1, 1])
    >>> weight.grad = np.float32([1, -200])
    >>> RMSprop([weight], lr=0.1, alpha=0.75).step()  # v = g^2 / 4
    >>> weight.value.round(4)
    array([0.8, 1.2], dtype=float32)
    """

    state_names = ("square_avg",)
    state_may_have = ("grad_avg", "momentum_buffer")

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, *,
                 maximize=False, max_norm=None, backend="cpu"):
        super().__init__(params, lr, max_norm, backend, alpha=alpha, eps=eps, weight_decay=weight_decay,
                         momentum=momentum, centered=centered, maximize=maximize)

    def check(self, options):
        return {**options, "alpha": self.number("alpha", options["alpha"], most=1),
                "eps": self.number("eps", options["eps"]),
                "weight_decay": self.number("weight_decay", options["weight_decay"]),
                "momentum": self.number("momentum", options["momentum"], below=1),
                "centered": arguments.flag(options["centered"], self.said("centered"))}

    def update(self, values, grads, options, states, lr, scale):
        kept = {"square_avg": True, "grad_avg": options["centered"], "momentum_buffer": options["momentum"]}
        square, mean, velocity = (self.kept(name, values, states) if wanted else None
                                  for name, wanted in kept.items())
        self.ops.rmsprop_update(values, grads, square, mean, velocity, lr, options["alpha"], options["eps"],
                                options["weight_decay"], options["momentum"], scale)
