"""What every layer is: forward, backward, parameters, a name, and the operations it computes with."""
import functools
from textwrap import indent

import numpy as np

from fastnet import changes, kernels
from fastnet.parameter import Parameter

_load = functools.cache(kernels.load)


def named_errors(method):
    """Put the layer in front of what a method has to say: `Conv2d "3": expected 64 input channels, ...`."""
    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        try:
            return method(self, *args, **kwargs)
        except (TypeError, ValueError) as error:
            if not str(error).startswith(f"{self.label}: "):
                error.args = (f"{self.label}: {error}",)
            raise
    return wrapper


class Layer:
    """A function with parameters and a backward pass.

    A layer of one's own defines ``forward(x, training=False)`` and ``backward(dy, need_dx=True)``; it need not call
    ``super().__init__()``. Attributes that are Parameters or Layers are found by themselves; a layer that keeps them
    elsewhere overrides `parameters` or `named_children`.

    * forward returns y, in training also sets ``self.saved``, one tuple with what backward needs. Inference
      (training=False) leaves nothing behind, so that many threads may run one net.
    * backward starts with ``self.take_saved()``, assigns the gradient of every parameter, and returns dx, or None
      where `need_dx` is false.
    * Neither writes into an array it was given.

    What is computed with is ``self.ops``, the module `to` chose. Two arguments are optional and noticed where present,
    by which a plan fuses a following ReLU: see fastnet/plan.py.
    """

    backend = "cpu"     # the name of the module in ops
    name = ""           # the dotted path from the outermost net, set by containers
    saved = None
    kind = None         # what a plan may take the layer for, where forward and backward are those of this class
    buffer_names = ()   # attributes that are arrays, belong to the state but are not trained

    def forward(self, x, training=False):
        raise NotImplementedError(f"{self.label} defines no forward(x, training=False)")

    def backward(self, dy, need_dx=True):
        raise NotImplementedError(f"{self.label} defines no backward(dy, need_dx=True)")

    def __call__(self, x):
        """Inference: forward without training."""
        return self.forward(x)

    def take_saved(self):
        """What the training forward saved, which is given up with this call. RuntimeError where there is nothing."""
        saved = self.saved
        if saved is None:
            raise RuntimeError(f"{self.label}: backward without a training forward; call forward(x, training=True) "
                               "once before each backward")
        self.saved = None
        return saved

    @property
    def ops(self):
        """The module of operations; see `fastnet.kernels`."""
        return _load(self.backend)

    @property
    def label(self):
        """The layer as errors and tables call it: `Conv2d "3"`."""
        return f'{type(self).__name__} "{self.name}"' if self.name else type(self).__name__

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        if name != "saved":
            changes.note(name in self.buffer_names)

    def __delattr__(self, name):
        object.__delattr__(self, name)
        changes.note()

    # The tree of layers

    def named_children(self):
        """The layers directly inside this one: a list of (name, Layer)."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Layer)]

    def named_layers(self, prefix=""):
        """This layer and all inside it, outermost first: a list of (dotted path, layer)."""
        found = [(prefix, self)]
        for name, child in self.named_children():
            found += child.named_layers(f"{prefix}.{name}" if prefix else name)
        return found

    def adopt(self):
        """Tell every layer inside its dotted path. ValueError where a layer or a parameter is found in two places,
        since each has one gradient and saves for one backward at a time. Containers call it when they are made."""
        seen = {}
        found = self.named_layers(self.name)
        for path, layer in found:
            own = [(f"{path}.{name}".lstrip("."), parameter) for name, parameter in layer._own_parameters()]
            for place, part in [(path, layer), *own]:
                if id(part) in seen:
                    raise ValueError(f"{self.label}: the same {type(part).__name__} is at {seen[id(part)]!r} and at "
                                     f"{place!r}; make one object for each place")
                seen[id(part)] = place
        for path, layer in found:
            layer.name = path

    def to(self, backend):
        """Compute with ``"cpu"`` or ``"naive"`` from now on, here and in every layer inside. Returns self."""
        _load(backend)
        for _, layer in self.named_layers():
            layer.backend = backend
        return self

    def astype(self, dtype):
        """Convert parameters, gradients and running statistics to float32 or float64, in place. Returns self."""
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"{self.label}: dtype must be float32 or float64, got {dtype}")
        for parameter in self.parameters():
            parameter.value = parameter.value.astype(dtype)
            if parameter.grad is not None:
                parameter.grad = parameter.grad.astype(dtype)
        for _, layer in self.named_layers():
            for name in layer.buffer_names:
                buffer = getattr(layer, name)
                if buffer.dtype.kind == "f":
                    setattr(layer, name, buffer.astype(dtype))
        return self

    # Parameters and state

    def parameters(self):
        """The Parameters of this layer and of all layers inside it, in the order of `named_parameters`."""
        own = [value for value in vars(self).values() if isinstance(value, Parameter)]
        for _, child in self.named_children():
            own += child.parameters()
        return own

    def trains(self):
        """Whether any parameter of this layer, or of one inside it, is to be trained."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def named_parameters(self):
        """A list of (name, Parameter), named as in PyTorch: "0.weight", "0.bias", "3.body.0.weight"."""
        return [(f"{path}.{name}" if path else name, parameter)
                for path, layer in self.named_layers() for name, parameter in layer._own_parameters()]

    def _own_parameters(self):
        """(name, Parameter) of this layer alone. Those that only an overridden `parameters` knows are numbered."""
        own = [(name, value) for name, value in vars(self).items() if isinstance(value, Parameter)]
        if type(self).parameters is not Layer.parameters:
            known = {id(value) for _, value in own}
            for _, child in self.named_children():
                known.update(map(id, child.parameters()))
            own += [(str(i), value) for i, value in enumerate(self.parameters()) if id(value) not in known]
        return own

    def state_dict(self):
        """Copies of all parameters and running statistics: a dict from name to array, with PyTorch's names."""
        state = {}
        for path, layer in self.named_layers():
            prefix = f"{path}." if path else ""
            for name, parameter in layer._own_parameters():
                state[prefix + name] = parameter.value.copy()
            for name in layer.buffer_names:
                state[prefix + name] = np.array(getattr(layer, name))
        return state

    def load_state_dict(self, state):
        """Take over copies of the values in `state`, which has the names and shapes of `state_dict`.

        ValueError that lists every name that is missing, unexpected or of another shape or kind; nothing is changed
        then.
        """
        own = self.state_dict()
        new = {name: np.asarray(state[name]) for name in own if name in state}
        problems = [f"missing {name}" for name in own if name not in state]
        problems += [f"unexpected {name}" for name in state if name not in own]
        for name, value in new.items():
            if value.shape != own[name].shape:
                problems.append(f"{name} has shape {value.shape}, expected {own[name].shape}")
            elif not np.can_cast(value.dtype, own[name].dtype, "same_kind"):
                problems.append(f"{name} has dtype {value.dtype}, expected {own[name].dtype}")
        if problems:
            raise ValueError(f"{self.label}: the state does not fit, nothing was loaded: {'; '.join(problems)}")
        for path, layer in self.named_layers():
            prefix = f"{path}." if path else ""
            for name, parameter in layer._own_parameters():
                parameter.value = np.array(new[prefix + name], parameter.value.dtype, order="C")
            for name in layer.buffer_names:
                setattr(layer, name, np.array(new[prefix + name], own[prefix + name].dtype))

    # What is known without computing

    def output_shape(self, input_shape):
        """The shape of y for an x of `input_shape`, batch included. ValueError where such an x does not fit.

        This default runs one sample of zeros through the layer; a layer of one's own may know better.
        """
        return (input_shape[0], *self.forward(np.zeros((1, *input_shape[1:]), np.float32)).shape[1:])

    def multiply_adds(self, input_shape):
        """How many multiplications followed by an addition forward makes for an x of `input_shape`, batch included."""
        return 0

    def algorithms(self, input_shape, dtype):
        """What computes each pass of this layer, where there is a choice: {"forward": (name, reason), ...}."""
        return {}

    def inner_shapes(self, input_shape):
        """The input shape of each layer inside, by name; empty for a layer that does not tell."""
        return {}

    # Printing and copying

    def arguments(self):
        """The constructor's arguments as they are printed: a string."""
        return ""

    def __repr__(self):
        """As in PyTorch: the arguments, then the layers inside, one a line."""
        children = self.named_children()
        if not children:
            return f"{type(self).__name__}({self.arguments()})"
        lines = [f"({name}): {child!r}" for name, child in children]
        return f"{type(self).__name__}({self.arguments()}\n" + indent("\n".join(lines), "  ") + "\n)"

    def __getstate__(self):
        """Copies and pickles hold the layer, not the pass that is under way."""
        return {name: value for name, value in vars(self).items() if name != "saved"}


def value_of(parameter):
    """The array of a parameter that may be None."""
    return None if parameter is None else parameter.value


def keywords(**given):
    """`name=value` for each value that is not its default: keywords(stride=(stride, 1)) is "" or ", stride=2"."""
    return "".join(f", {name}={short(value)!r}" for name, (value, default) in given.items()
                   if short(value) != short(default))


def short(value):
    """(3, 3) as 3, the way most people write it."""
    return value[0] if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1] else value
