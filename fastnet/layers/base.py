"""What every layer is: forward, backward, parameters, a name, and the operations it computes with."""
import functools
from textwrap import indent

import numpy as np

from fastnet import changes, kernels
from fastnet.kernels import shapes
from fastnet.layers.formula import composing
from fastnet.parameter import Parameter
from fastnet.program import trees
from fastnet.program.calls import name_layer, opaque
from fastnet.program.run import Runner
from fastnet.program.tables import Listing, multiply_adds
from fastnet.program.trace import Value, here
from fastnet.program.tracer import trace

_load = functools.cache(kernels.load)


class Layer:
    """A function with parameters and a backward pass.

    A layer of one's own defines ``forward(x, training=False)`` and ``backward(dy, need_dx=True)``; it need not call
    ``super().__init__()``. Attributes that are Parameters or Layers, or tuples, lists or dictionaries of Layers, are
    found by themselves; a layer that keeps them elsewhere overrides `parameters` or `named_children`.

    * forward returns y, in training also sets ``self.saved``, one tuple with what backward needs. Inference
      (training=False) leaves nothing behind, so that many threads may run one net.
    * backward starts with ``self.take_saved()``, assigns the gradient of every parameter, and returns dx, or None
      where `need_dx` is false.
    * Neither writes into an array it was given. Arrays that were given to or got from a training forward stay as they
      are until its backward.

    x, y, dy and dx are an array or, for a layer with several, a tuple or a dictionary of arrays; None in dy stands for
    a result that nobody used.

    What is computed with is ``self.ops``, the module `to` chose. Where both passes compute by operations of `ops` alone
    let the class that defines them say ``traceable = True``: nets that hold the layer see what it does, and fuse and
    record it (see `fastnet.program`); its arrays that are no parameters are then named in `buffer_names`. Any other
    layer is opaque: it is called with arrays in the midst of a net, in every pass.
    """

    backend = "cpu"     # the name of the module in ops
    name = ""           # the dotted path from the outermost net, set by containers
    saved = None
    traceable = False   # whether both passes compute by operations alone
    takes_several = False   # whether x may be a tuple or dictionary of arrays; asked of the library's own layers only
    composed = False    # whether it does nothing but call other layers
    buffer_names = ()   # attributes that are arrays, belong to the state but are not trained
    options = ()        # arguments of the constructor that are attributes and may be assigned: `check` judges them

    def forward(self, x, training=False):
        raise NotImplementedError(f"{self.label} defines no forward(x, training=False)")

    def backward(self, dy, need_dx=True):
        raise NotImplementedError(f"{self.label} defines no backward(dy, need_dx=True)")

    def __call__(self, x):
        """Inference: forward without training. Within `Container.compose` a call as part of the pass under way."""
        if here.calls is not None:
            return here.calls.call(self, x)
        if here.tracer is not None:
            raise TypeError(f"{here.layer}: a layer that is traced cannot call {self.label} as a function, which is "
                            "inference; derive it from Container and let compose make the calls, or say traceable = "
                            "False")
        if composing() or opaque(self, self.backend):
            return self.forward(x)
        return self.runner.inference(self, tuple(x) if isinstance(x, list) else x)

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
        """The module of operations, see `fastnet.kernels`; while the net is traced, who notes them."""
        return here.tracer or _load(self.backend)

    @property
    def runner(self):
        """What runs this layer where it is the outermost one."""
        found = vars(self).get("_runner")
        if found is None:
            found = vars(self).setdefault("_runner", Runner())
        return found

    @property
    def label(self):
        """The layer as errors and tables call it: `Conv2d "3"`."""
        return f'{type(self).__name__} "{self.name}"' if self.name else type(self).__name__

    @property
    def dtype(self):
        """The dtype of the parameters, in which the layer computes; None where it has none, and takes that of x."""
        found = self.parameters()
        return found[0].value.dtype if found else None

    # Attributes

    def check(self, **options):
        """The constructor's arguments as they are kept; TypeError or ValueError where one does not fit."""
        return options

    def set_options(self, **options):
        """Check the constructor's arguments, then make attributes of them."""
        for name, value in self.check(**options).items():
            self._assign(name, value)

    def check_weight(self, *shape):
        """ValueError where the layer has a weight already, and one of another shape than sizes would want."""
        weight = vars(self).get("weight")
        if weight is not None and weight.shape != shape:
            raise ValueError(f"the weight has shape {weight.shape}, and these sizes want {shape}: make a new layer")

    def __setattr__(self, name, value):
        if isinstance(value, Value):
            if name in self.buffer_names:
                here.tracer.assign(self, name, value)
                return
        elif name in self.options and all(option in vars(self) for option in self.options):
            try:
                value = self.check(**{option: vars(self)[option] for option in self.options} | {name: value})[name]
            except (TypeError, ValueError) as error:
                name_layer(error, self)
                raise
        self._assign(name, value)

    def _assign(self, name, value):
        buffer = name in self.buffer_names
        if buffer and changes.here.quiet:
            return
        object.__setattr__(self, name, _frozen(value))
        if name != "saved":
            changes.note(buffer)

    def __delattr__(self, name):
        object.__delattr__(self, name)
        changes.note()

    # The tree of layers

    def named_children(self):
        """The layers directly inside this one: a list of (name, Layer)."""
        found = []
        for name, value in vars(self).items():
            if type(value) in _NO_LAYERS:
                continue
            if isinstance(value, Layer):
                found.append((name, value))
            elif isinstance(value, tuple):
                found += [(f"{name}.{i}", one) for i, one in enumerate(value) if isinstance(one, Layer)]
            elif isinstance(value, _ReadOnly):
                found += [(f"{name}.{key}", one) for key, one in value.items() if isinstance(one, Layer)]
        return found

    def named_layers(self, prefix=""):
        """This layer and all inside it, outermost first: a list of (dotted path, layer)."""
        found = [(prefix, self)]
        for name, child in self.named_children():
            found += child.named_layers(f"{prefix}.{name}" if prefix else name)
        return found

    def adopt(self):
        """Tell every layer inside its dotted path. ValueError where a layer or a parameter is found in two places,
        since each has one gradient and saves for one backward at a time. Containers call it when they are made. Returns
        `named_layers`, from the outermost net on."""
        seen = {}
        found = self.named_layers(self.name)
        for path, layer in found:
            own = [(f"{path}.{name}".lstrip("."), parameter) for name, parameter in layer.own_parameters()]
            for place, part in [(path, layer), *own]:
                if id(part) in seen:
                    raise ValueError(f"{self.label}: the same {type(part).__name__} is at {seen[id(part)]!r} and at "
                                     f"{place!r}; make one object for each place")
                seen[id(part)] = place
        for path, layer in found:
            if layer.name != path:
                layer.name = path
        return found

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
                for path, layer in self.named_layers() for name, parameter in layer.own_parameters()]

    def own_parameters(self):
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
            for name, parameter in layer.own_parameters():
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
            for name, parameter in layer.own_parameters():
                parameter.value = np.array(new[prefix + name], parameter.value.dtype, order="C")
            for name in layer.buffer_names:
                setattr(layer, name, np.array(new[prefix + name], own[prefix + name].dtype))

    # What is known without computing

    def program(self, input_shape, training=False, dtype=None):
        """What the layer does with an x of `input_shape`, batch included, as lists of operations that print themselves:
        as the layers are written, and as the backend's rules have joined them. ``print(net.program((128, 3, 32, 32)))``
        """
        return Listing(self, self._kinds(input_shape, dtype), training)

    def output_shape(self, input_shape):
        """The shape of y for an x of `input_shape`, batch included. ValueError where such an x does not fit.

        An opaque layer runs one sample of zeros for it, unless it overrides this.
        """
        if opaque(self, self.backend):
            kinds = self._kinds(input_shape)
            batch = trees.flat(kinds)[0].shape[0]
            sample = trees.map(lambda kind: np.zeros((1, *kind.shape[1:]), kind.dtype), kinds)
            return trees.map(lambda y: (batch, *y.shape[1:]), self.forward(sample))
        return trees.map(lambda y: y.shape, self._trace(input_shape).y)

    def multiply_adds(self, input_shape):
        """How many multiplications followed by an addition forward makes for an x of `input_shape`, batch included; an
        opaque layer of one's own may tell its own."""
        return 0 if opaque(self, self.backend) else multiply_adds(self._trace(input_shape))

    def step_through(self, x, gradient, seen):
        """Run a training pass operation by operation, as the layers are written, and leave everything as it was; random
        numbers are those of the last pass. ``seen(label, what, array)`` is called after each operation: the layer's
        label, what the array is ("y", "dx", or a parameter's name for its gradient), the array. ``gradient(y)`` is
        called in between and gives dy, or None to end there."""
        self.runner.step_through(self, x, gradient, seen)

    def _kinds(self, input_shape, dtype=None):
        found, form = trees.shapes(input_shape)
        dtype = np.dtype(dtype or self.dtype or np.float32)
        return trees.build(form, [shapes.Kind(shape, dtype) for shape in found])

    def _trace(self, input_shape):
        return trace(self, self._kinds(input_shape), training=False)

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
        """Copies and pickles hold the layer, not the pass that is under way, nor what was worked out to run it."""
        return {name: value for name, value in vars(self).items() if name not in ("saved", "_runner")}


# What most attributes of a layer are.
_NO_LAYERS = {int, float, bool, str, type(None), np.ndarray, Parameter}


class _ReadOnly(dict):
    """A dictionary of layers that was assigned to a layer: another one can be assigned, this one stays as it is."""

    def _refuse(self, *args, **kwargs):
        raise TypeError("this dictionary of layers cannot be changed: assign another one to the layer's attribute")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self):
        return _ReadOnly, (dict(self),)


def _frozen(value):
    """A list of layers as a tuple, a dictionary of layers as one that cannot be changed: only assigning is noticed."""
    if isinstance(value, list) and any(isinstance(one, Layer) for one in value):
        return tuple(value)
    if isinstance(value, dict) and any(isinstance(one, Layer) for one in value.values()):
        return _ReadOnly(value)
    return value


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
