"""Learning-rate schedules: plain functions from the number of updates made so far to the rate of the next one.

``rate = one_cycle(0.1, total_steps=epochs * len(loader))`` gives a callable with rate(0) for the first update and
rate(total_steps - 1) for the last; `LearningRateSchedule` puts it into an optimiser. Any function of one integer will
do as well. After its last step a schedule stays where it is. Every maker raises ValueError naming the argument that is
out of range.
"""
from math import cos, inf, isfinite, pi

from fastnet.kernels.checks import positive


def constant(lr):
    """rate(t) = lr."""
    lr = _number("lr", lr)
    return lambda step: lr


def step(lr, step_size, gamma=0.1):
    """rate(t) = lr * gamma^floor(t / step_size): a staircase, as PyTorch's StepLR. `step_size` counts updates."""
    lr, gamma, step_size = _number("lr", lr), _number("gamma", gamma), positive(step_size, "step_size")
    return lambda step: lr * gamma ** (step // step_size)


def cosine(lr, total_steps, eta_min=0.0):
    """rate(t) = eta_min + (lr - eta_min) (1 + cos(pi t / total_steps)) / 2: from lr down to eta_min, half a wave.

    Loshchilov and Hutter, SGDR (2017), formula 5, without restarts.
    """
    lr, eta_min, total_steps = _number("lr", lr), _number("eta_min", eta_min), positive(total_steps, "total_steps")
    return lambda step: _cosine(lr, eta_min, min(step / total_steps, 1.0))


def one_cycle(max_lr, total_steps, pct_start=0.3, div_factor=25.0, final_div_factor=1e4, anneal_strategy="cos"):
    """Up from max_lr / div_factor to max_lr, then down to max_lr / div_factor / final_div_factor.

    The top is at t = pct_start * total_steps - 1, the end at t = total_steps - 1; between them the rate follows half a
    cosine wave ("cos") or a straight line ("linear"). Smith and Topin, Super-Convergence (2018), in the form of
    PyTorch's OneCycleLR.
    """
    max_lr, total_steps = _number("max_lr", max_lr), positive(total_steps, "total_steps")
    pct_start = _number("pct_start", pct_start, most=1.0)
    start = max_lr / _number("div_factor", div_factor, least=1.0)
    end = start / _number("final_div_factor", final_div_factor, least=1.0)
    if anneal_strategy not in _CURVES:
        raise ValueError(f'anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}')
    curve = _CURVES[anneal_strategy]
    top, last = max(pct_start * total_steps - 1, 0.0), total_steps - 1

    def rate(step):
        step = min(step, last)
        if step < top:
            return curve(start, max_lr, step / top)
        return curve(max_lr, end, (step - top) / (last - top)) if last > top else max_lr
    return rate


def warmup(schedule, steps):
    """rate(t) = schedule(t) * min(1, (t + 1) / steps): any schedule, its first `steps` updates on a rising line.

    Goyal et al., Accurate, Large Minibatch SGD (2017), section 2.2.
    """
    steps = positive(steps, "steps")
    return lambda step: schedule(step) * min(1.0, (step + 1) / steps)


def _cosine(start, end, done):
    return end + (start - end) * (1 + cos(pi * done)) / 2


def _line(start, end, done):
    return start + (end - start) * done


_CURVES = {"cos": _cosine, "linear": _line}


def _number(name, value, least=0.0, most=inf):
    if not (isfinite(value) and least <= value <= most):
        limit = f"at least {least:g}" if most == inf else f"between {least:g} and {most:g}"
        raise ValueError(f"{name} must be a finite number, {limit}, got {value!r}")
    return float(value)
