"""Optimisers: how a gradient changes a parameter.

``SGD(net.parameters(), lr=0.1, momentum=0.9)``; after each backward pass ``optimizer.step()`` updates every parameter
that has a gradient, all of them in one fused pass. There is no zero_grad, because backward assigns gradients.
``optimizer.lr`` may be set at any time.

Instead of parameters one may give groups, as in PyTorch: ``[{"params": weights}, {"params": biases,
"weight_decay": 0.0}]``; what a group does not name it takes from the arguments. The learning rate is one for all, times
the group's "lr_scale" where it has one: a schedule then moves all groups together.
`decay_groups` makes the two groups that most recipes want.

With ``max_norm=1.0`` gradients are clipped: each counts as if it were multiplied by min(1, max_norm / (norm + 1e-6)),
where norm is the 2-norm over all gradients of all groups, as PyTorch's clip_grad_norm_ has it. ``parameter.grad``
itself stays as it is. ``optimizer.grad_norm`` is the norm in the last step, before clipping, or None without max_norm.
A norm that is not finite raises nothing, as in PyTorch: with a NaN in a gradient every updated parameter becomes NaN;
with an infinity the number that it belongs to does, and all others see a gradient of 0. (A Trainer stops before such a
step.) Source: Pascanu et al., On the difficulty of training recurrent neural networks (2013), algorithm 1.
"""
from fastnet.optim.adagrad import Adagrad
from fastnet.optim.adam import Adam, AdamW, NAdam
from fastnet.optim.base import Optimizer, decay_groups
from fastnet.optim.clip import clip_grad_norm, clip_grad_value
from fastnet.optim.minimise import Minimum, minimise
from fastnet.optim.muon import Muon, orthogonalize
from fastnet.optim.rmsprop import RMSprop
from fastnet.optim.sgd import SGD

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "Minimum", "Muon", "NAdam", "Optimizer", "RMSprop", "clip_grad_norm",
    "clip_grad_value", "decay_groups", "minimise", "orthogonalize",
]
