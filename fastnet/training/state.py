"""The state of a training: all that a Trainer elsewhere needs to go on with the same bits."""
import os
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from fastnet import arguments, init
from fastnet.files.checkpoints import Checkpoints, read
from fastnet.training.batches import length
from fastnet.training.history import History
from fastnet.training.plain import fitting, plain
from fastnet.training.totals import Totals

WHO = "Trainer.load_state_dict"
# In the order in which they are taken over.
PARTS = ("net", "optimizer", "callbacks", "random", "loader")
PROGRESS = ("epoch", "step", "stop", "batches_done", "underway", "seconds", "totals", "history")


class Part(NamedTuple):
    """Something with a state of its own: what it is called, how its state is had, and how it takes another one."""

    name: str
    get: object
    put: object


def state_of(trainer):
    """See `Trainer.state_dict`."""
    end, loader = trainer._end, trainer.train_batches
    ended = end is not None and end.holds(trainer.net)
    return {
        "net": plain(end.weights, "net") if ended else _get(trainer.net),
        "optimizer": plain(_get(trainer.optimizer), "Trainer.state_dict: optimizer"),
        "callbacks": [{"class": type(callback).__name__, "state": plain(_get(callback), _said(i, callback))}
                      for i, callback in _with_state(trainer)],
        "random": plain(end.random, "random") if ended else random_state(trainer.net),
        "loader": trainer._loader_state or plain(_get(loader), "Trainer.state_dict: loader"),
        "epoch": trainer.epoch, "step": trainer.step, "stop": trainer.stop and not trainer.history.interrupted,
        "batches_done": trainer.batches_done, "underway": trainer._underway, "seconds": trainer._seconds,
        "totals": plain(trainer.totals.state_dict(), "Trainer.state_dict: totals") if trainer._underway else None,
        "history": plain(trainer.history.state_dict(), "Trainer.state_dict: history"),
    }


def load(trainer, state, loader=None):
    """Take over what `state_of` gave, `loader` being what is trained on next, where that is known."""
    state = fitting(state, (*PARTS, *PROGRESS), f"{WHO}: state")
    progress = _progress(trainer, state)
    todo = []
    for part, value in _parts(trainer, state, loader):
        todo.append((part, value, part.get()))
    done = []
    for part, value, before in todo:
        done.append((part, before))
        try:
            part.put(value)
        except Exception as error:
            for other, old in reversed(done):
                with suppress(Exception):   # the first is what went wrong
                    other.put(old)
            raise ValueError(f"{WHO}: {part.name}: {error}; nothing was changed") from error
    vars(trainer).update(progress, _end=None, _loader_state=None if loader is not None else state["loader"])


def put_loader(loader, state, batches_done):
    """Let what is trained on go on; ValueError where it is none that could."""
    count = length(loader)
    if count is not None and batches_done > count:
        raise ValueError(f"the state stands behind batch {batches_done} of an epoch, and train_batches has {count}")
    if state is not None and not hasattr(loader, "load_state_dict"):
        raise ValueError(f"the state is of data with an order of its own, as a DataLoader has, got "
                         f"{arguments.shown(loader)}")
    if state is not None:
        loader.load_state_dict(state)


def resumed(path):
    """The state of the newest checkpoint in a folder, None where there is none yet; or of the file itself."""
    path = arguments.path(path, "fit: resume")
    return read(path) if os.path.isfile(path) else Checkpoints(path).latest()[0]


class End:
    """What the net and the random generators were when training had ended, before callbacks gave the net its best
    weights, or a mean."""

    def __init__(self, net):
        self.weights, self.random, self._left = _get(net), random_state(net), None

    def over(self, net):
        """The callbacks have done their part. Whether they have changed the net."""
        self._left = _digest(_get(net))
        return self._left != _digest(self.weights)

    def holds(self, net):
        """Whether the net is still what they have left."""
        return _digest(_get(net)) == self._left

    def take_back(self, net):
        """Give the net what it had, where nobody has touched it since."""
        if self.holds(net):
            net.load_state_dict(self.weights)
            put_random_state(net, self.random)


def random_state(net):
    """{name: state} of all random generators that layers of the net have, and, as "", of the one of `manual_seed`."""
    return {name: plain(generator.bit_generator.state, f"random generator {name!r}")
            for name, generator in _generators(net).items()}


def put_random_state(net, state):
    """Let the generators go on from there; ValueError where there are others."""
    generators = _generators(net)
    if state.keys() != generators.keys():
        wrong = sorted(state.keys() ^ generators.keys())
        raise ValueError(f"the state and the net must have the same random generators, got one alone for {wrong[:5]}")
    for name, generator in generators.items():
        try:
            generator.bit_generator.state = state[name]
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ValueError(f"the state of {name or 'the generator of manual_seed'} is none of a "
                             f"{type(generator.bit_generator).__name__}") from error


def _generators(net):
    layers = net.named_layers() if hasattr(net, "named_layers") else ()
    found = {f"{path}.{name}" if path else name: value for path, layer in layers
             for name, value in vars(layer).items() if isinstance(value, np.random.Generator)}
    return {"": init.generator(), **found}


def _progress(trainer, state):
    """How far the training is, as attributes of the trainer; ValueError where a part is none of such."""
    found = {name: arguments.integer(state[name], f"{WHO}: {name}", 0, 2**63 - 1)
             for name in ("epoch", "step", "batches_done")}
    found.update({name: arguments.flag(state[name], f"{WHO}: {name}") for name in ("stop", "underway")})
    found["_underway"], totals = found.pop("underway"), Totals(trainer.metrics)
    if found["_underway"]:
        totals.load_state_dict(state["totals"], f"{WHO}: totals")
    history = History()
    try:
        history.load_state_dict(state["history"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{WHO}: history: {error}; nothing was changed") from error
    return {**found, "_seconds": arguments.number(state["seconds"], f"{WHO}: seconds", 0), "totals": totals,
            "history": history}


def _parts(trainer, state, loader):
    """(Part, its new state) of all."""
    yield _part("net", trainer.net), state["net"]
    yield _part("optimizer", trainer.optimizer), state["optimizer"]
    found = _with_state(trainer)
    given = arguments.listed(state["callbacks"], f"{WHO}: callbacks", "dictionaries")
    given = [fitting(one, ("class", "state"), f"{WHO}: callbacks[{i}]") for i, one in enumerate(given)]
    names, wanted = [one["class"] for one in given], [type(callback).__name__ for _, callback in found]
    if names != wanted:
        raise ValueError(f"{WHO}: callbacks: those that have a state must be, in this order, "
                         f"{', '.join(map(str, names)) or 'none'}, as they were when the state was taken, and are "
                         f"{', '.join(wanted) or 'none'}; nothing was changed")
    for (i, callback), one in zip(found, given, strict=True):
        yield _part(_said(i, callback), callback), one["state"]
    yield Part("random", lambda: random_state(trainer.net), lambda new: put_random_state(trainer.net, new)), (
        state["random"])
    if loader is not None:
        done = state["batches_done"] if state["underway"] else 0
        yield Part("loader", lambda: _get(loader), lambda new: put_loader(loader, new, done)), state["loader"]


def _part(name, value):
    """The Part that an object is."""
    def put(state):
        if hasattr(value, "load_state_dict"):
            value.load_state_dict(state)
        elif state is not None:
            raise ValueError(f"the state holds one of it, and {arguments.shown(value)} has no load_state_dict")

    return Part(name, lambda: _get(value), put)


def _with_state(trainer):
    """(place, callback) of those that have something to keep."""
    return [(i, callback) for i, callback in enumerate(trainer._ordered()) if _get(callback)]


def _get(value):
    return value.state_dict() if hasattr(value, "state_dict") else None


def _said(i, callback):
    return f"callbacks[{i}] ({type(callback).__name__})"


def _digest(state):
    """What tells weights from others."""
    found = blake2b()
    for name, value in state.items():
        found.update(name.encode())
        found.update(np.ascontiguousarray(value))
    return found.digest()
