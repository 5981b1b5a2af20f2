"""What all optimisers share: groups, checks, clipping, state."""
from math import inf, sqrt
from operator import is_

import numpy as np

from fastnet import arguments, habits, kernels
from fastnet.kernels import updates
from fastnet.parameter import Parameter

# Kinds of options that nobody can change without assigning another one.
_FIXED = {bool, float, int, str, tuple, type(None)}


class Optimizer:
    """Changes `params`, Parameters or groups of them, by their gradients; the module's text tells of groups.

    A subclass has `state_names`, hands its options to ``super().__init__(params, lr, max_norm, backend, **options)``,
    and defines `check`, which judges the options of a group, and `update`, which moves parameters. This one goes by the
    signs of a running mean of the gradients; groups, clipping, checkpoints and copies come with it:

    >>> class Signs(Optimizer):
    ...     state_names = ("mean",)
    ...     def __init__(self, params, lr=1e-3, beta=0.9, max_norm=None):
    ...         super().__init__(params, lr, max_norm, beta=beta)
    ...     def check(self, options):
    ...         return {**options, "beta": self.number("beta", options["beta"], below=1)}
    ...     def update(self, values, grads, options, states, lr, scale):
    ...         for value, grad, mean in zip(values, grads, self.kept("mean", values, states)):
    ...             mean += (1 - options["beta"]) * (scale * grad - mean)
    ...             value -= lr * np.sign(mean)

    `param_groups` are the groups, dictionaries whose options may be assigned later, "params" apart. TypeError or
    ValueError for what does not fit.
    """

    # What it keeps for each parameter: counts and other single numbers by the names that stand in `state_scalars`, all
    # else arrays of the parameter's shape. What it may have besides, by its options, is named in `state_may_have`.
    state_names = state_may_have = ()
    state_scalars = ("step", "mu_product")

    def __init__(self, params, lr, max_norm=None, backend="cpu", **options):
        self.backend = arguments.choice(backend, kernels.BACKENDS, self.said("backend"))
        self.lr, self.max_norm = lr, max_norm
        self.grad_norm = None
        self.param_groups = self._groups(params, {**options, "lr_scale": 1.0})
        entries = self._entries()
        self._state = [{} for _ in entries]
        self._seen = {}     # number of a group -> its names, its values, and the group as it is kept
        if not entries:
            raise ValueError(f"{self.said('params')} must hold parameters, got none; give the parameters() of a net "
                             "that has some")
        if len({id(parameter) for parameter, _ in entries}) < len(entries):
            raise ValueError(f"{self.said('params')} must hold each parameter once: a parameter was given twice, and "
                             "each step would update it twice")

    @property
    def ops(self):
        """The module of operations that `backend` names."""
        return kernels.load(self.backend)

    @property
    def lr(self):
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, value):
        self._lr = self.number("lr", value)

    @property
    def max_norm(self):
        """The norm that gradients are clipped to, or None for no clipping."""
        return self._max_norm

    @max_norm.setter
    def max_norm(self, value):
        self._max_norm = None if value is None else arguments.number(value, self.said("max_norm"), above=0)

    def __getattr__(self, name):
        return habits.look_up(self, name, type(self).__name__, habits.OPTIMIZER)

    def check(self, options):
        """The options of a group as `update` gets them, a dictionary; TypeError or ValueError where one does not
        fit. "params" is the tuple of its parameters."""
        return options

    def update(self, values, grads, options, states, lr, scale):
        """Move in place `values`, a list of arrays of one dtype: those of a group that have made as many steps as each
        other. `grads` times `scale` are their gradients, checked arrays; `options` are those of the group, and `states`
        what is kept for each parameter, at first an empty dictionary."""
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    @staticmethod
    def kept(name, values, states, start=0.0):
        """The arrays that the states have under a name, one a value; new ones are full of `start`."""
        try:
            return [state[name] for state in states]
        except KeyError:
            for value, state in zip(values, states, strict=True):
                state.setdefault(name, np.full_like(value, start))
            return [state[name] for state in states]

    def step(self):
        """Update in place every parameter that has a gradient; one whose grad is None (frozen, unused) stays.

        TypeError or ValueError where a gradient does not fit its parameter, or an option that was assigned is none;
        then nothing is updated.
        """
        groups = list(map(self._as_checked, range(len(self.param_groups)), self.param_groups))
        if sum([len(group["params"]) for group in groups]) != len(self._state):
            raise ValueError(f"{self.said('param_groups')} must keep its parameters; make a new optimiser for others")
        calls, fresh, start = [], [], 0
        for group in groups:
            params, stop = group["params"], start + len(group["params"])
            rows = [(parameter.value, grad, state)
                    for parameter, state in zip(params, self._state[start:stop], strict=True)
                    if (grad := parameter.grad) is not None]
            if rows:
                columns = tuple(map(list, zip(*rows, strict=True)))
                parts = [columns] if self._alike(*columns) else self._parts(start, params, fresh)
                calls += [(group, *part) for part in parts]
            start = stop
        scale = self._clip([grad for _, _, grads, _ in calls for grad in grads])
        for state, changed in fresh:
            state.update(changed)
        for group, values, grads, states in calls:
            self.update(values, grads, group, states, self._lr * group["lr_scale"],
                        -scale if group.get("maximize") else scale)

    def _as_checked(self, i, group):
        """A group as `update` gets it, looked at only where something was assigned since the last time."""
        names, values, checked = self._seen.get(i, ((), (), None))
        if tuple(group) == names and all(map(is_, group.values(), values)):
            return checked
        checked = self._checked(group)
        if all(type(value) in _FIXED for value in group.values()):
            self._seen[i] = tuple(group), tuple(group.values()), checked
        return checked

    def _alike(self, values, grads, states):
        """Whether one call may update all of these arrays, none of which needs a closer look."""
        columns, names = [values, grads], states[0].keys()
        if set(map(len, states)) != {len(names)}:
            return False
        for name in names:
            column = [state.get(name) for state in states]
            if name not in self.state_scalars:
                columns.append(column)
            elif column.count(column[0]) != len(column):
                return False
        return self.backend == "cpu" and self.ops.places(columns) is not None

    def _parts(self, start, params, fresh):
        """What one call each may update of a group whose parameters, from number `start` on, are not alike: (values,
        gradients, states). `fresh` gets what changes in the states before."""
        alike = {}
        for i, parameter in enumerate(params, start):
            if parameter.grad is not None:
                value, state = parameter.value, self._state[i]
                grad, changed = self._ready(i, parameter, state)
                fresh.append((state, changed))
                scalars = [float(state[name]) for name in self.state_scalars if name in state]
                for column, one in zip(alike.setdefault((value.dtype, *state, *scalars), ([], [], [])),
                                       (value, grad, state), strict=True):
                    column.append(one)
        return alike.values()

    def _ready(self, i, parameter, state):
        """(gradient, changes of the state): those that the parameter's present dtype asks for."""
        value = parameter.value
        kept = [array for name, array in state.items() if name not in self.state_scalars]
        if updates.plain((value, parameter.grad, *kept), value.dtype) and value.flags.writeable:
            return parameter.grad, {}
        who = self.said(f"parameter {i}")
        if not isinstance(value, np.ndarray) or value.dtype not in (np.float32, np.float64):
            raise TypeError(f"{who} must be a float32 or float64 array, got {arguments.shown(value)}")
        if not value.flags.writeable:
            raise ValueError(f"{who} is read-only, of shape {value.shape}; give it an array that can be updated: where "
                             "the net is sealed, fastnet.unseal(net) does")
        grad = arguments.array(parameter.grad, f"{who}'s grad")
        if grad.shape != value.shape:
            raise ValueError(f"{type(self).__name__}: got a gradient of shape {grad.shape} for a parameter of shape "
                             f"{value.shape}; nothing was updated")
        fresh = {}
        for name, array in state.items():
            if name in self.state_scalars:
                continue
            if np.shape(array) != value.shape:
                raise ValueError(f"{who} has shape {value.shape}, and its {name} is of shape {np.shape(array)}; "
                                 "make a new optimiser for a parameter of another shape")
            if array.dtype != value.dtype:
                fresh[name] = array.astype(value.dtype)
        return grad, fresh

    def _clip(self, grads):
        """What all gradients are to be multiplied by, so that their norm is at most max_norm."""
        if self.max_norm is None:
            self.grad_norm = None
            return 1.0
        self.grad_norm = sqrt(self.ops.sum_of_squares(grads))
        return min(self.max_norm / (self.grad_norm + 1e-6), 1.0)  # of a NaN and 1, the first, which is the NaN

    def state_dict(self):
        """What resuming a training needs, as copied arrays: "lr", "max_norm" (infinity for None), for the i-th group
        "group i.option", for the i-th parameter "i.name"."""
        options = {f"group {i}.{name}": np.array(group[name]) for i, group in enumerate(self.param_groups)
                   for name in self._options(group)}
        state = {f"{i}.{name}": np.array(value) for i, entry in enumerate(self._state) for name, value in entry.items()}
        return {"lr": np.array(self.lr), "max_norm": np.array(inf if self.max_norm is None else self.max_norm),
                **options, **state}

    def load_state_dict(self, state_dict):
        """Take over what `state_dict` of a like optimiser gave, its options included; options that are missing stay as
        they are. Where it does not fit: TypeError or ValueError, nothing changes."""
        given = arguments.mapping(state_dict, self.said("state_dict"), "what state_dict() gave")
        given = {key: arguments.values(value, self.said(f"state_dict[{key!r}]")) for key, value in given.items()}
        if "lr" not in given:
            raise ValueError(f"{self.said('state_dict')} must hold 'lr'; it has none")
        lr = self.number("state_dict['lr']", self._scalar("lr", given.pop("lr")))
        max_norm = self._scalar("max_norm", given.pop("max_norm", np.array(inf if self.max_norm is None
                                                                           else self.max_norm)))
        if max_norm != inf:
            max_norm = arguments.number(max_norm, self.said("state_dict['max_norm']"), above=0)
        groups = [self._checked({**group, **self._given_options(i, group, given)})
                  for i, group in enumerate(self.param_groups)]
        state = [{} for _ in self._state]
        for i, (parameter, _) in enumerate(self._entries()):
            keys = {name: f"{i}.{name}" for name in (*self.state_names, *self.state_may_have)}
            if not any(key in given for key in keys.values()):
                continue  # a parameter that had no step yet
            for name, key in keys.items():
                if key in given:
                    state[i][name] = self._taken(name, key, given.pop(key), parameter.value)
                elif name in self.state_names:
                    raise ValueError(f"{self.said('state_dict')} must hold {key!r}; it has none")
        if given:
            raise ValueError(f"{self.said('state_dict')} holds what is unexpected: "
                             f"{', '.join(map(repr, sorted(given)[:5]))}; it is of another optimiser, or of other "
                             "parameters")
        self._lr, self._max_norm, self._state = lr, None if max_norm == inf else max_norm, state
        for group, checked in zip(self.param_groups, groups, strict=True):
            group.update(checked)

    @staticmethod
    def _options(group):
        """The names of the options of a group that arrays can hold."""
        return [name for name, value in group.items() if name != "params" and np.asarray(value).dtype.kind in "fiub"]

    def _given_options(self, i, group, given):
        """The options of the i-th group that a state has, taken out of it."""
        found = {}
        for name in self._options(group):
            key = f"group {i}.{name}"
            if key in given:
                value = given.pop(key)
                if value.shape != np.shape(group[name]):
                    raise ValueError(f"{self.said(f'state_dict[{key!r}]')} must have shape {np.shape(group[name])}, "
                                     f"got {value.shape}")
                found[name] = tuple(value.tolist()) if value.ndim else value.item()
        return found

    def _taken(self, name, key, given, value):
        """A copy of one entry of a state, as it is kept."""
        if name == "step":
            step = self._scalar(key, given)
            return np.array(arguments.integer(int(step) if step == step // 1 else step,
                                              self.said(f"state_dict[{key!r}]"), 0))
        if name in self.state_scalars:
            return np.array(self.number(f"state_dict[{key!r}]", self._scalar(key, given)))
        if given.shape != value.shape:
            raise ValueError(f"{self.said(f'state_dict[{key!r}]')} must have shape {value.shape}, got {given.shape}")
        return np.array(given, value.dtype, order="C")

    def _scalar(self, key, given):
        if given.shape != ():
            raise ValueError(f"{self.said(f'state_dict[{key!r}]')} must be one number, got {arguments.shown(given)}")
        return given.item()

    def number(self, name, value, below=None, most=None):
        """`value` as a finite float of at least 0; TypeError or ValueError with the name where it is none."""
        return arguments.number(value, self.said(name), least=0, below=below, most=most)

    def said(self, name):
        """An argument as errors call it: "SGD: momentum"."""
        return f"{type(self).__name__}: {name}"

    def _entries(self):
        """(parameter, group) for each parameter."""
        return [(parameter, group) for group in self.param_groups for parameter in group["params"]]

    def _groups(self, params, defaults):
        """The groups as a tuple of dictionaries, each with "params" and every option, all checked."""
        given = arguments.listed(params, self.said("params"), "Parameters, such as net.parameters(), or of groups")
        groups = given if given and all(isinstance(group, dict) for group in given) else [{"params": given}]
        self._known = {"params", *defaults}
        return tuple(self._checked({**defaults, **group}) for group in groups)

    def _checked(self, group):
        """A group as it is kept."""
        if "params" not in group or not set(group) <= self._known:
            known, got = (", ".join(sorted(map(str, names))) for names in (self._known - {"params"}, group))
            raise ValueError(f"{self.said('params')}: a group has 'params' and may set {known}; got {got}")
        parameters = group["params"]
        if type(parameters) is not tuple:
            name = self.said("params")
            parameters = tuple(arguments.instance(one, Parameter, name, "Parameters, such as net.parameters()")
                               for one in arguments.listed(parameters, name, "Parameters"))
        lr_scale = self.number("lr_scale", group["lr_scale"])
        if "maximize" in group:
            group = {**group, "maximize": arguments.flag(group["maximize"], self.said("maximize"))}
        return self.check({**group, "params": parameters, "lr_scale": lr_scale})

    def __repr__(self):
        entries = self._entries()
        size = sum(parameter.value.size for parameter, _ in entries)
        options = {"lr": self.lr, **self.param_groups[0], "max_norm": self.max_norm}
        del options["params"], options["lr_scale"]
        text = ", ".join(f"{name}={value}" for name, value in options.items())
        return f"{type(self).__name__}({len(entries)} parameters of {size:,} numbers, {text})"


def decay_groups(params):
    """Two groups: weights (two axes and more), which decay as the optimiser is told, and the rest, which do not.

    The rest are biases and the scales and shifts of normalisation, where decay does no good: He et al., Bag of Tricks
    for Image Classification with Convolutional Neural Networks (2019), section 3.1. TypeError for anything but
    Parameters.

    >>> groups = decay_groups(fastnet.Linear(2, 3).parameters())
    >>> [(parameter.shape, group.get("weight_decay")) for group in groups for parameter in group["params"]]
    [((3, 2), None), ((3,), 0.0)]
    """
    params = arguments.listed(params, "decay_groups: params", "Parameters, such as net.parameters()")
    for parameter in params:
        arguments.instance(parameter, Parameter, "decay_groups: params", "Parameters, such as net.parameters()")
    return [{"params": [parameter for parameter in params if parameter.value.ndim > 1]},
            {"params": [parameter for parameter in params if parameter.value.ndim <= 1], "weight_decay": 0.0}]
