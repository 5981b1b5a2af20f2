"""What happens in each step: a rate that is set, gradients that are clipped."""
from fastnet import arguments
from fastnet.optim import clip_grad_value
from fastnet.training.callbacks.base import Callback
from fastnet.training.plain import plain


class LearningRateSchedule(Callback):
    """Sets the optimiser's learning rate to schedule(updates made so far) before each step; see fastnet.schedules.

    Where a Trainer accumulates several batches a step, it is updates that count: see its ``steps_per_epoch``.
    A schedule that keeps something from step to step has ``state_dict()`` and ``load_state_dict(state)``; then it is in
    checkpoints.

    >>> schedule = fastnet.schedules.cosine(0.1, 4)
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(),
    ...                           fastnet.SGD(net.parameters(), 0.1), [LearningRateSchedule(schedule)])
    >>> history = trainer.fit((x, x[:, :1]), 4)
    >>> history["lr"][:2] == [schedule(0), schedule(1)]
    True
    """

    def __init__(self, schedule):
        self.schedule = arguments.function(schedule, "LearningRateSchedule: schedule",
                                           "a function of the step, such as schedules.cosine(0.1, 1000)")

    def on_step_begin(self, trainer):
        rate = self.schedule(trainer.step)
        trainer.optimizer.lr = arguments.number(rate, f"LearningRateSchedule: the rate of step {trainer.step}", 0)

    @property
    def state_names(self):
        return ("schedule",) if hasattr(self.schedule, "state_dict") else ()

    def state_dict(self):
        return {name: plain(self.schedule.state_dict(), "LearningRateSchedule: the schedule's state")
                for name in self.state_names}

    def check_state(self, **state):
        for inside in state.values():
            self.schedule.load_state_dict(inside)
        return {}

    def __repr__(self):
        return f"LearningRateSchedule({arguments.shown(self.schedule)})"


class ClipValue(Callback):
    """Moves every number of every gradient into [-limit, limit] before the update; NaN stays NaN.

    It comes after a regulariser, and before the `max_norm` of the optimiser, which clips by the norm of them all.
    PyTorch's clip_grad_value_.

    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [ClipValue(1e-3)])
    >>> history = trainer.fit((x, x[:, :1]), 1)
    >>> bool(abs(net.weight.grad).max() <= 1e-3)
    True
    """

    def __init__(self, limit):
        self.limit = arguments.number(limit, "ClipValue: limit", above=0)

    def on_gradients(self, trainer):
        clip_grad_value([parameter for _, parameter in trainer.net.named_parameters()], self.limit)

    def __repr__(self):
        return f"ClipValue({self.limit:g})"
