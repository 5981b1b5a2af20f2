"""Learning-rate schedules: functions from the number of updates made so far to the rate of the next one.

``rate = one_cycle(0.1, total_steps=epochs * len(loader))`` gives an object with rate(0) for the first update and
rate(total_steps - 1) for the last; `LearningRateSchedule` puts it into an optimiser. Two of the same arguments are
equal, and they print, copy and pickle as what they were made by. Any function of one integer will do as well. After its
last step a schedule stays where it is. TypeError or ValueError names the argument that does not fit.
"""
from dataclasses import dataclass, fields
from math import cos, inf, pi

from fastnet import arguments

_MOST = 2**63 - 1   # updates


class Schedule:
    """What all schedules share. A schedule of one's own needs none of it: any function of the step will do."""

    def __call__(self, step):
        """The rate of the update before which `step` others were made."""
        return self.rate(arguments.integer(step, self.said("step"), 0, _MOST))

    def said(self, name):
        """An argument as errors call it: "cosine: lr"."""
        return f"{type(self).__name__}: {name}"

    def keep(self, **checked):
        """Make these the arguments, which are then never assigned again."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def keep_numbers(self):
        """Check the arguments that are annotated as float, and those that are as int, which count from 1."""
        for field in fields(self):
            value, name = getattr(self, field.name), self.said(field.name)
            if field.type is float:
                self.keep(**{field.name: arguments.number(value, name, 0)})
            elif field.type is int:
                self.keep(**{field.name: arguments.integer(value, name, 1, _MOST)})


@dataclass(frozen=True)
class constant(Schedule):
    """rate(t) = lr."""

    lr: float

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return self.lr


@dataclass(frozen=True)
class step(Schedule):
    """rate(t) = lr * gamma^floor(t / step_size): a staircase, as PyTorch's StepLR. `step_size` counts updates."""

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        try:
            return self.lr * self.gamma ** (step // self.step_size)
        except OverflowError:   # of a gamma above 1
            return inf


@dataclass(frozen=True)
class cosine(Schedule):
    """rate(t) = eta_min + (lr - eta_min) (1 + cos(pi t / total_steps)) / 2: from lr down to eta_min, half a wave.

    Loshchilov and Hutter, SGDR (2017), formula 5, without restarts.
    """

    lr: float
    total_steps: int
    eta_min: float = 0.0

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return _cosine(self.lr, self.eta_min, min(step / self.total_steps, 1.0))


@dataclass(frozen=True)
class one_cycle(Schedule):
    """Up from max_lr / div_factor to max_lr, then down to max_lr / div_factor / final_div_factor.

    The top is at t = pct_start * total_steps - 1, the end at t = total_steps - 1; between them the rate follows half a
    cosine wave ("cos") or a straight line ("linear"). Smith and Topin, Super-Convergence (2018), in the form of
    PyTorch's OneCycleLR.
    """

    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal_strategy: str = "cos"

    def __post_init__(self):
        self.keep_numbers()
        self.keep(
            pct_start=arguments.number(self.pct_start, self.said("pct_start"), 0, 1),
            div_factor=arguments.number(self.div_factor, self.said("div_factor"), 1),
            final_div_factor=arguments.number(self.final_div_factor, self.said("final_div_factor"), 1),
            anneal_strategy=arguments.choice(self.anneal_strategy, tuple(_CURVES), self.said("anneal_strategy")))

    def rate(self, step):
        curve = _CURVES[self.anneal_strategy]
        start = self.max_lr / self.div_factor
        top, last = max(self.pct_start * self.total_steps - 1, 0.0), self.total_steps - 1
        step = min(step, last)
        if step < top:
            return curve(start, self.max_lr, step / top)
        end = start / self.final_div_factor
        return curve(self.max_lr, end, (step - top) / (last - top)) if last > top else self.max_lr


@dataclass(frozen=True)
class warmup(Schedule):
    """rate(t) = schedule(t) * min(1, (t + 1) / steps): any schedule, its first `steps` updates on a rising line.

    Goyal et al., Accurate, Large Minibatch SGD (2017), section 2.2.
    """

    schedule: object
    steps: int

    def __post_init__(self):
        self.keep_numbers()
        arguments.function(self.schedule, self.said("schedule"), "a function of the step, such as cosine(0.1, 100)")

    def rate(self, step):
        return self.schedule(step) * min(1.0, (step + 1) / self.steps)


def _cosine(start, end, done):
    return end + (start - end) * (1 + cos(pi * done)) / 2


def _line(start, end, done):
    return start + (end - start) * done


_CURVES = {"cos": _cosine, "linear": _line}
