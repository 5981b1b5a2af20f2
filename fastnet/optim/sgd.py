"""Stochastic gradient descent."""
from fastnet import arguments
from fastnet.optim.base import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum v where momentum > 0.

    g = grad + weight_decay * value;  v = momentum * v + (1 - dampening) * g, at the first step v = g;
    value -= lr * v, with nesterov=True value -= lr * (g + momentum * v).
    Momentum: Sutskever et al., On the importance of initialization and momentum in deep learning (2013), in PyTorch's
    form, where lr stands outside of v. ValueError names the argument that is out of range.

    >>> weight = fastnet.Parameter([1, 1])
    >>> weight.grad, optimizer = np.float32([1, -2]), SGD([weight], lr=0.1, momentum=0.5)
    >>> for step in range(2):
    ...     optimizer.step()
    ...     print(weight.value)
    [0.9 1.2]
    [0.75 1.5 ]
    """

    state_names = ("momentum_buffer",)

    def __init__(self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, *,
                 maximize=False, max_norm=None, backend="cpu"):
        super().__init__(params, lr, max_norm, backend, momentum=momentum, dampening=dampening,
                         weight_decay=weight_decay, nesterov=nesterov, maximize=maximize)

    def check(self, options):
        momentum = self.number("momentum", options["momentum"], below=1)
        dampening = self.number("dampening", options["dampening"], most=1)
        nesterov = arguments.flag(options["nesterov"], self.said("nesterov"))
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(f"{self.said('nesterov')} needs a momentum above 0 and dampening 0, got momentum "
                             f"{momentum:g} and dampening {dampening:g}")
        return {**options, "momentum": momentum, "dampening": dampening, "nesterov": nesterov,
                "weight_decay": self.number("weight_decay", options["weight_decay"])}

    def update(self, values, grads, options, states, lr, scale):
        momentum = options["momentum"]
        first = "momentum_buffer" not in states[0]
        velocity = self.kept("momentum_buffer", values, states) if momentum else None
        self.ops.sgd_update(values, grads, velocity, lr, momentum, options["dampening"], options["weight_decay"],
                            options["nesterov"], first, scale)
