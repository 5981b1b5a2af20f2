"""Adam and its relatives."""
from fastnet import arguments
from fastnet.optim.base import Optimizer


class Adam(Optimizer):
    """Adam: step lengths from the running mean m of the gradient and v of its square, both corrected for their start.

    g = grad + weight_decay * value;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  at step t
    value -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
    With amsgrad=True the largest v so far takes the place of v, so that steps never become longer again.
    With decoupled_weight_decay=True, g = grad and value shrinks by lr * weight_decay * value first: that is `AdamW`.
    Kingma and Ba, Adam (2015), algorithm 1; Reddi et al., On the Convergence of Adam and Beyond (2018), algorithm 2;
    Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2, with PyTorch's lr in front of the
    decay. ValueError names the argument that is out of range.

    >>> weight = fastnet.Parameter([1, 1])
    >>> weight.grad = np.float32([1, -200])
    >>> Adam([weight], lr=0.1).step()
    >>> weight.value.round(4)  # the first steps are lr long, whatever the gradients
    array([0.9, 1.1], dtype=float32)
    """

    state_names = ("step", "exp_avg", "exp_avg_sq")
    state_may_have = ("max_exp_avg_sq",)

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, *,
                 maximize=False, decoupled_weight_decay=False, max_norm=None, backend="cpu"):
        super().__init__(params, lr, max_norm, backend, betas=betas, eps=eps, weight_decay=weight_decay,
                         amsgrad=amsgrad, maximize=maximize, decoupled_weight_decay=decoupled_weight_decay)

    def check(self, options):
        return {**_checked(self, options), "amsgrad": arguments.flag(options["amsgrad"], self.said("amsgrad"))}

    def update(self, values, grads, options, states, lr, scale):
        step = int(states[0].get("step", 0)) + 1
        m, v = (self.kept(name, values, states) for name in ("exp_avg", "exp_avg_sq"))
        largest = self.kept("max_exp_avg_sq", values, states) if options["amsgrad"] else None
        self.ops.adam_update(values, grads, m, v, step, lr, *options["betas"], options["eps"],
                             options["weight_decay"], options["decoupled_weight_decay"], scale, largest)
        for state in states:
            state["step"] = step


class AdamW(Adam):
    """Adam with decoupled weight decay: value shrinks by lr * weight_decay * value in each step, beside Adam's step.

    >>> weight = fastnet.Parameter([1, 1])
    >>> weight.grad = np.float32([0, -200])
    >>> AdamW([weight], lr=0.1, weight_decay=0.5).step()
    >>> weight.value.round(4)
    array([0.95, 1.05], dtype=float32)
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *,
                 maximize=False, max_norm=None, backend="cpu"):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize,
                         decoupled_weight_decay=True, max_norm=max_norm, backend=backend)


class NAdam(Optimizer):
    """Adam with Nesterov's look ahead: the step that the next gradient mean would make.

    With g, m, v and t as in `Adam`, mu_t = beta1 (1 - 0.96^(t * momentum_decay) / 2) and P_t the product of all mu up
    to mu_t, value -= lr * ((1 - mu_t) g / (1 - P_t) + mu_t+1 m / (1 - P_t+1)) / (sqrt(v / (1 - beta2^t)) + eps).
    Dozat, Incorporating Nesterov Momentum into Adam (2016), in PyTorch's form. ValueError names the argument that is
    out of range.

    >>> weight = fastnet.Parameter([1, 1])
    >>> weight.grad = np.float32([1, -200])
    >>> NAdam([weight], lr=0.1).step()
    >>> weight.value.round(4)  # a little further than Adam
    array([0.8944, 1.1056], dtype=float32)
    """

    state_names = ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3,
                 decoupled_weight_decay=False, *, maximize=False, max_norm=None, backend="cpu"):
        super().__init__(params, lr, max_norm, backend, betas=betas, eps=eps, weight_decay=weight_decay,
                         momentum_decay=momentum_decay, decoupled_weight_decay=decoupled_weight_decay,
                         maximize=maximize)

    def check(self, options):
        return {**_checked(self, options), "momentum_decay": self.number("momentum_decay", options["momentum_decay"])}

    def update(self, values, grads, options, states, lr, scale):
        step = int(states[0].get("step", 0)) + 1
        m, v = (self.kept(name, values, states) for name in ("exp_avg", "exp_avg_sq"))
        decay, (beta1, beta2) = options["momentum_decay"], options["betas"]
        now, following = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = float(states[0].get("mu_product", 1.0)) * now
        self.ops.nadam_update(values, grads, m, v, step, lr, beta1, beta2, options["eps"], now, following,
                              product, options["weight_decay"], options["decoupled_weight_decay"], scale)
        for state in states:
            state.update(step=step, mu_product=product)


def _checked(optimizer, options):
    """The options that all of them have."""
    betas = options["betas"]
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        kind = ValueError if isinstance(betas, (tuple, list)) else TypeError
        raise kind(f"{optimizer.said('betas')} must be two numbers, got {arguments.shown(betas)}")
    return {**options,
            "betas": tuple(optimizer.number(f"betas[{i}]", beta, below=1) for i, beta in enumerate(betas)),
            "eps": optimizer.number("eps", options["eps"]),
            "weight_decay": optimizer.number("weight_decay", options["weight_decay"]),
            "decoupled_weight_decay": arguments.flag(options["decoupled_weight_decay"],
                                                     optimizer.said("decoupled_weight_decay"))}
