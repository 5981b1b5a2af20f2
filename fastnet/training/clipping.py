"""Clipping gradients in a training."""
from fastnet import arguments
from fastnet.optim import clip_grad_value
from fastnet.training.callbacks import Callback


class ClipValue(Callback):
    """Moves every number of every gradient into [-limit, limit] before the update; NaN stays NaN.

    It comes after a regulariser, and before the `max_norm` of the optimiser, which clips by the norm of them all.
    PyTorch's clip_grad_value_.
    """

    def __init__(self, limit):
        self.limit = arguments.number(limit, "ClipValue: limit", above=0)

    def on_gradients(self, trainer):
        clip_grad_value([parameter for _, parameter in trainer.net.named_parameters()], self.limit)

    def __repr__(self):
        return f"ClipValue({self.limit:g})"
