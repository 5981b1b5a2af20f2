"""Learning-rate schedules: functions from the number of updates made so far to the rate of the next one.

``rate = one_cycle(0.1, total_steps=epochs * len(loader))`` gives an object with rate(0) for the first update and
rate(total_steps - 1) for the last; `LearningRateSchedule` puts it into an optimiser. Two of the same arguments are
equal, and they print, copy and pickle as what they were made by. Any function of one integer will do as well. After its
last step a schedule stays where it is. TypeError or ValueError names the argument that does not fit.
"""
from dataclasses import dataclass, fields
from math import cos, inf, pi

from fastnet import arguments, habits

_MOST = 2**63 - 1   # updates


class Schedule:
    """What all schedules share. A schedule of one's own needs none of it: any function of the step will do.

    >>> cosine(0.1, 3) == cosine(0.1, 3) and isinstance(cosine(0.1, 3), Schedule)
    True
    """

    def __call__(self, step):
        """The rate of the update before which `step` others were made."""
        return self.rate(arguments.integer(step, self.said("step"), 0, _MOST))

    def __getattr__(self, name):
        return habits.look_up(self, name, type(self).__name__, habits.SCHEDULE)

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
    """rate(t) = lr.

    >>> constant(0.1)(1000)
    0.1
    """

    lr: float

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return self.lr


@dataclass(frozen=True)
class step(Schedule):
    """rate(t) = lr * gamma^floor(t / step_size): a staircase, as PyTorch's StepLR. `step_size` counts updates.

    >>> step(0.1, step_size=30)(60)
    0.0010000000000000002
    """

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return self.lr * _power(self.gamma, step // self.step_size)


@dataclass(frozen=True)
class multi_step(Schedule):
    """rate(t) = lr * gamma^(how many of the milestones are at most t): a staircase, as PyTorch's MultiStepLR.
    `milestones` are numbers of updates; one that is named twice counts twice.

    >>> [multi_step(0.5, (10, 20))(t) for t in (9, 10, 20)]
    [0.5, 0.05, 0.005000000000000001]
    """

    lr: float
    milestones: tuple
    gamma: float = 0.1

    def __post_init__(self):
        self.keep_numbers()
        self.keep(milestones=_milestones(self.milestones, self.said("milestones")))

    def rate(self, step):
        return self.lr * _power(self.gamma, sum(milestone <= step for milestone in self.milestones))


@dataclass(frozen=True)
class exponential(Schedule):
    """rate(t) = lr * gamma^t, as PyTorch's ExponentialLR.

    >>> exponential(0.1, 0.5)(2)
    0.025
    """

    lr: float
    gamma: float

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return self.lr * _power(self.gamma, step)


@dataclass(frozen=True)
class inverse_time(Schedule):
    """rate(t) = lr / (1 + decay * t).

    Robbins and Monro, A Stochastic Approximation Method (1951): rates whose sum is infinite and whose squares' is not.

    >>> inverse_time(0.1, 0.5)(2)
    0.05
    """

    lr: float
    decay: float

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return self.lr / (1 + self.decay * step)


@dataclass(frozen=True)
class polynomial(Schedule):
    """rate(t) = lr * (1 - t / total_iters)^power, and 0 from t = total_iters on, as PyTorch's PolynomialLR. A straight
    line with the default power.

    >>> polynomial(0.1, 10, 2)(5)
    0.025
    """

    lr: float
    total_iters: int = 5
    power: float = 1.0

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return self.lr * (1 - min(step / self.total_iters, 1.0)) ** self.power


@dataclass(frozen=True)
class cosine(Schedule):
    """rate(t) = eta_min + (lr - eta_min) (1 + cos(pi t / total_steps)) / 2: from lr down to eta_min, half a wave.

    Loshchilov and Hutter, SGDR (2017), formula 5, without restarts.

    >>> [round(cosine(0.1, 11)(t), 3) for t in (0, 5, 10)]
    [0.1, 0.057, 0.002]
    """

    lr: float
    total_steps: int
    eta_min: float = 0.0

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        return _cosine(self.lr, self.eta_min, min(step / self.total_steps, 1.0))


@dataclass(frozen=True)
class cosine_restarts(Schedule):
    """`cosine` again and again: the first wave lasts T_0 updates, each later one T_mult times as long as that before.

    Loshchilov and Hutter, SGDR (2017), section 3; the names are those of PyTorch's CosineAnnealingWarmRestarts.

    >>> [round(cosine_restarts(0.1, 4)(t), 3) for t in range(6)]
    [0.1, 0.085, 0.05, 0.015, 0.1, 0.085]
    """

    lr: float
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self):
        self.keep_numbers()

    def rate(self, step):
        length = self.T_0
        if self.T_mult == 1:
            step %= length
        else:
            while step >= length:
                step, length = step - length, length * self.T_mult
        return _cosine(self.lr, self.eta_min, step / length)


@dataclass(frozen=True)
class cyclical(Schedule):
    """Up from base_lr to max_lr in step_size_up updates on a straight line, down again in step_size_down (as many where
    it is None), and so on. With "triangular2" each cycle is half as high as the one before, with "exp_range" the height
    at update t is that times gamma^t.

    Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3, in the form of PyTorch's CyclicLR.

    >>> [round(cyclical(0.1, 0.5, 4)(t), 3) for t in (0, 2, 4, 8)]
    [0.1, 0.3, 0.5, 0.1]
    """

    base_lr: float
    max_lr: float
    step_size_up: int = 2000
    step_size_down: object = None
    mode: str = "triangular"
    gamma: float = 1.0

    def __post_init__(self):
        self.keep_numbers()
        self.keep(mode=arguments.choice(self.mode, ("triangular", "triangular2", "exp_range"), self.said("mode")))
        if self.step_size_down is not None:
            self.keep(step_size_down=arguments.integer(self.step_size_down, self.said("step_size_down"), 1, _MOST))

    def rate(self, step):
        down = self.step_size_up if self.step_size_down is None else self.step_size_down
        cycle, place = divmod(step, self.step_size_up + down)
        part = place / self.step_size_up if place <= self.step_size_up else 1 - (place - self.step_size_up) / down
        height = {"triangular": 1.0, "triangular2": _power(0.5, cycle), "exp_range": _power(self.gamma, step)}
        return self.base_lr + (self.max_lr - self.base_lr) * part * height[self.mode]


@dataclass(frozen=True)
class one_cycle(Schedule):
    """Up from max_lr / div_factor to max_lr, then down to max_lr / div_factor / final_div_factor.

    The top is at t = pct_start * total_steps - 1, the end at t = total_steps - 1; between them the rate follows half a
    cosine wave ("cos") or a straight line ("linear"). Smith and Topin, Super-Convergence (2018), in the form of
    PyTorch's OneCycleLR.

    >>> [round(one_cycle(0.1, 11)(t), 4) for t in (0, 3, 10)]
    [0.004, 0.098, 0.0]
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

    >>> [round(warmup(constant(0.1), 4)(t), 3) for t in range(5)]
    [0.025, 0.05, 0.075, 0.1, 0.1]
    """

    schedule: object
    steps: int

    def __post_init__(self):
        self.keep_numbers()
        arguments.function(self.schedule, self.said("schedule"), "a function of the step, such as cosine(0.1, 100)")

    def rate(self, step):
        return self.schedule(step) * min(1.0, (step + 1) / self.steps)


@dataclass(frozen=True)
class sequence(Schedule):
    """One schedule after the other: the i-th from update milestones[i - 1] on, which it counts as its 0, as PyTorch's
    SequentialLR. There is a milestone fewer than there are schedules.

    >>> [sequence([constant(0.1), constant(0.01)], [5])(t) for t in (4, 5)]
    [0.1, 0.01]
    """

    schedules: tuple
    milestones: tuple

    def __post_init__(self):
        what = "schedules, functions of the step"
        given = arguments.listed(self.schedules, self.said("schedules"), what)
        milestones = _milestones(self.milestones, self.said("milestones"))
        if len(given) != len(milestones) + 1:
            raise ValueError(f"{self.said('schedules')} must be one more than milestones, got {len(given)} for "
                             f"{len(milestones)}")
        self.keep(schedules=tuple(arguments.function(one, self.said("schedules"), what) for one in given),
                  milestones=milestones)

    def rate(self, step):
        done = sum(milestone <= step for milestone in self.milestones)
        return self.schedules[done](step - self.milestones[done - 1] if done else step)


def _milestones(value, name):
    """Numbers of updates in their order."""
    given = arguments.listed(value, name, "numbers of updates")
    result = tuple(arguments.integer(one, name, 0, _MOST) for one in given)
    if list(result) != sorted(result):
        raise ValueError(f"{name} must be in order, got {arguments.shown(value)}")
    return result


def _power(base, exponent):
    try:
        return base**exponent
    except OverflowError:   # of a base above 1
        return inf


def _cosine(start, end, done):
    return end + (start - end) * (1 + cos(pi * done)) / 2


def _line(start, end, done):
    return start + (end - start) * done


_CURVES = {"cos": _cosine, "linear": _line}
