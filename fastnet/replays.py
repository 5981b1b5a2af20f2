"""Passes without the Python between the kernels.

A net's Python takes some tens of microseconds a layer: as long as the kernels take for an image or a few, and a tenth
of a training step of a net of many thin layers. So when the outermost container has run the same plan twice, it runs it
from then on by replaying what the operations did (`record` in `fastnet.kernels`). Who steps through a net with a
debugger sees all of it all the same.

A replay does what the layers did when it was recorded. So it ends as soon as an attribute of any layer or parameter in
the net is assigned; what is written into arrays is seen by `Packed`, or read anew by the kernels. Nets with a layer of
the user's own are never replayed, since nobody knows what that does besides.
"""
import contextlib
import sys
import threading
from operator import is_

import numpy as np

from fastnet import changes
from fastnet.kernels.precision import precision
from fastnet.plan import kind

MOST_REPLAYS = 16               # of a net's inference
_INFERENCE_BYTES = 64 << 20     # that one of these keeps at most
_TRAINING_BYTES = 4 << 30       # that the recording of a training step keeps at most
_ONCE, _NEVER = "seen once", "not possible"
# Attributes that come and go with passes, and tell nothing of what the next one does.
_PASSING = ("saved", "_plans", "_packed", "_training")
# Layers that do something else in every training pass.
_CHANGING = ("dropout", "checkpoint")


class _Here(threading.local):
    """What each thread has of its own."""

    training = False    # whether a container is under way: those inside it do not begin recordings of theirs
    calls = None        # what `also` called, where it is noted
    silent = False      # whether `also` does nothing


_here = _Here()


def also(function, *args):
    """Call a function that is no operation, and have it called again with every replay of this training pass; `args`
    may be arrays that operations made."""
    if _here.silent:
        return
    function(*args)
    if _here.calls is not None:
        _here.calls.append((function, args))


class _Watch:
    """Tells whether anything was assigned in a net."""

    def __init__(self, buffers):
        self._buffers = buffers     # whether these matter
        self._change = self._state = None

    def changed(self, net):
        """Whether something was, since this was asked last."""
        change = changes.latest(self._buffers)
        if change is self._change:
            return False
        state = [value for _, layer in net.named_layers() for name, value in vars(layer).items()
                 if name not in _PASSING and (self._buffers or name not in layer.buffer_names)]
        for parameter in net.parameters():
            state += parameter.value, parameter.requires_grad
        same = self._state is not None and len(state) == len(self._state) and all(map(is_, state, self._state))
        self._state, self._change = state, change
        return not same


class Inference:
    """What was recorded of one net's inference with certain packed weights, for each plan, dtype and precision."""

    def __init__(self):
        self._found = {}
        self._watch = _Watch(buffers=True)

    def run(self, net, plan, x, compute):
        """``compute(x)``, the inference of `net` with that plan, by replay where there is one."""
        if sys.gettrace() is not None:  # a debugger
            return compute(x)
        if self._watch.changed(net):
            self._found = {}
        key, found = (plan, x.dtype, precision.get()), self._found
        again = found.get(key)
        if again is None or (again not in (_ONCE, _NEVER) and again.outdated()):
            if len(found) >= MOST_REPLAYS:
                found.clear()
            found[key] = _ONCE if _is_known(net, "forward") else _NEVER
        elif again is _ONCE:
            y, again = net.ops.record(compute, x, _INFERENCE_BYTES)
            found[key] = _NEVER if again is None else again  # in vain where something was assigned meanwhile
            return y
        elif again is not _NEVER:
            y = again(x)
            if y is not None:
                return y
        return compute(x)


class Training:
    """The training passes of one net, and the recording of a step with the plan that it runs most."""

    def __init__(self):
        self._watch = _Watch(buffers=False)
        self._step = None   # the recording
        self._last = None   # plan, dtype and precision of the latest pass
        self._row = 0       # how many passes in a row had these

    def forward(self, net, plan, x, end=None):
        """(y, who to ask for the backward pass, what to give it): ``plan.forward(x, end)`` and the plan, or a replay
        and what stands in for the plan."""
        if end or _here.training or sys.gettrace() is not None:
            return _plainly(plan, x, end)
        step, key = self._step, (plan, x.dtype, precision.get())
        if self._watch.changed(net):
            self._row = 0
            step = self._step = None
        elif step is not None and (step.again_back is None or step.again.outdated()):
            step = self._step = None    # its backward pass never came or could not be recorded, or it is of no use now
        if step is not None and step.key == key:
            self._row = 0
            y = step.forward(x)
            return _plainly(plan, x) if y is None else (y, step, None)
        self._row = self._row + 1 if key == self._last else 1
        self._last = key
        if self._row != 3 or not _can_train(net, x.dtype):
            return _plainly(plan, x)
        self._step = None   # its memory serves the new one
        step = _Step(net, key)
        self._row = 0       # an error on the way leaves another try
        y, kept = step.record_forward(x)
        self._row = 3
        if step.again is None:
            return y, plan, kept
        self._step = step
        return y, step, kept


class _Step:
    """A recorded training step: the forward and the backward pass of a net. After such a forward pass it stands in for
    the net's plan."""

    adds_back = False

    def __init__(self, net, key):
        self.key, self._plan, self._dtype = key, key[0], key[1]
        self._ops, self._parameters = net.ops, net.parameters()
        self.again = self.again_back = None
        self._calls, self._x, self._need_dx = [], None, None

    def record_forward(self, x):
        """(y, what the plan keeps for its backward pass)."""
        kept = []

        def run(x):
            self._x = x
            y, now = self._plan.forward(x)
            kept.extend(now)
            return y

        with _set(training=True, calls=self._calls):
            y, self.again = self._ops.record(run, x, _TRAINING_BYTES)
        return y, kept

    def forward(self, x):
        """y by replay, or None where that is not possible at the moment."""
        y = self.again(x)
        if y is not None:
            for function, args in self._calls:
                function(*args)
        return y

    def backward(self, dy, kept, need_dx=True, end=None):
        """dx, see `Plan.backward`; `kept` is None after a replay."""
        fits = isinstance(dy, np.ndarray) and dy.dtype == self._dtype
        if kept is None:
            results = self.again_back(dy) if fits and need_dx == self._need_dx else None
            if results is None:
                return self._compute_again(dy, need_dx)
        elif fits:
            self._need_dx = need_dx
            results, self.again_back = self._ops.record(
                lambda dy: [self._plan.backward(dy, kept, need_dx), *(p.grad for p in self._parameters)],
                dy, _TRAINING_BYTES, self.again)
        else:
            return self._plan.backward(dy, kept, need_dx)
        for parameter, grad in zip(self._parameters, results[1:], strict=True):
            parameter.grad = grad
        return results[0]

    def _compute_again(self, dy, need_dx):
        """The backward pass where none was recorded that fits: the layers must make anew what they save for it."""
        with _set(training=True, silent=True):
            _, kept = self._plan.forward(self._x)
        return self._plan.backward(dy, kept, need_dx)


@contextlib.contextmanager
def _set(**values):
    """Give attributes of `_here` other values within the `with` block."""
    before = {name: getattr(_here, name) for name in values}
    vars(_here).update(values)
    try:
        yield
    finally:
        vars(_here).update(before)


def _plainly(plan, x, end=None):
    """A training pass that nobody records."""
    if _here.training:
        y, kept = plan.forward(x, end)
    else:
        with _set(training=True):
            y, kept = plan.forward(x, end)
    return y, plan, kept


def _is_known(net, *passes):
    """Whether all layers are the library's own, none with a pass that somebody replaced, and compute alike."""
    return all(kind(layer) is not None and not any(name in vars(layer) for name in passes) and layer.ops is net.ops
               for _, layer in net.named_layers())


def _can_train(net, dtype):
    """Whether every training pass of a net does the same, by operations alone, with an x of that dtype."""
    return (_is_known(net, "forward", "backward")
            and not any(kind(layer) in _CHANGING for _, layer in net.named_layers())
            and all(parameter.value.dtype == dtype and parameter.value.flags.carray for parameter in net.parameters()))
