"""What every layer is: forward, backward, parameters, a name, and the operations it computes with."""
import functools
from math import prod
from textwrap import indent

import numpy as np

from fastnet import arguments, changes, habits, kernels
from fastnet.kernels import shapes
from fastnet.layers import parts
from fastnet.layers import state as state_
from fastnet.layers.formula import composing, flag
from fastnet.layers.tree import Tree
from fastnet.parameter import Parameter
from fastnet.program import trees, watch
from fastnet.program.calls import name_layer, opaque, untouched
from fastnet.program.run import Runner, entered
from fastnet.program.tables import Listing, multiply_adds
from fastnet.program.trace import Value, here
from fastnet.program.tracer import trace, with_integers

_load = functools.cache(kernels.load)


class Layer(Tree):
    """A function with parameters and a backward pass.

    A layer of one's own defines ``forward(x, training=False)`` and ``backward(dy, need_dx=True)``; it need not call
    ``super().__init__()``. Attributes that are Parameters or Layers, or lists, tuples or dictionaries of them, nested
    too, are found by themselves; lists become tuples, and dictionaries read-only ones, when they are assigned. A layer
    that keeps its parts elsewhere overrides `parameters` or `named_children`.

    * forward returns y, in training also sets ``self.saved``, one tuple with what backward needs. Inference
      (training=False) leaves nothing behind, so that many threads may run one net.
    * backward starts with ``self.take_saved()``, assigns the gradient of every parameter, and returns dx, or None
      where `need_dx` is false.
    * Neither writes into an array it was given. Arrays that were given to or got from a training forward stay as they
      are until its backward.

    x, y, dy and dx are an array or, for a layer with several, a tuple or a dictionary of arrays; None in dy stands for
    a result that nobody used. A tensor of PyTorch in the CPU's memory is taken for an array; lists of numbers, masked
    arrays and whatever holds no real numbers are refused by a TypeError, and shapes that do not fit by a ValueError, as
    are sizes beyond 2^31 - 1; what is smaller and still beyond the memory gives NumPy's MemoryError.

    What is computed with is ``self.ops``, the module `to` chose. Where both passes compute by operations of `ops` alone
    let the class that defines them say ``traceable = True``: nets that hold the layer see what it does, and fuse and
    record it (see `fastnet.program`); its arrays that are no parameters are then named in `buffer_names`. Any other
    layer is opaque: it is called with arrays in the midst of a net, in every pass. A net asks its `output_shape` what
    it will give; by default forward is tried on one sample of zeros, and y has as many samples as x. Where that is not
    so, the class defines ``output_shape(self, input_shape)``, both shapes with the batch.

    >>> class Square(Layer):
    ...     def forward(self, x, training=False):
    ...         if training:
    ...             self.saved = (x,)
    ...         return x * x
    ...     def backward(self, dy, need_dx=True):
    ...         x, = self.take_saved()
    ...         return 2 * x * dy
    >>> layer, x = Square(), np.float32([1, 3])
    >>> layer.forward(x, training=True), layer.backward(np.ones_like(x))
    (array([1., 9.], dtype=float32), array([2., 6.], dtype=float32))
    """

    backend = "cpu"     # the name of the module in ops
    saved = None
    traceable = False   # whether both passes compute by operations alone
    takes_several = False   # whether x may be a tuple or dictionary of arrays; asked of the library's own layers only
    gives_several = False   # whether y may be; likewise
    takes_integers = False  # whether integers reach it as they are; all other layers are given floats for them
    composed = False    # whether it does nothing but call other layers
    buffer_names = ()   # attributes that are arrays, belong to the state but are not trained
    may_miss = ()       # those of them that a state need not have when it is loaded
    options = ()        # arguments of the constructor that are attributes and may be assigned: `check` judges them

    def forward(self, x, training=False):
        raise NotImplementedError(f"{self.label} defines no forward(x, training=False)")

    def backward(self, dy, need_dx=True):
        raise NotImplementedError(f"{self.label} defines no backward(dy, need_dx=True)")

    def __call__(self, x, *others, **options):
        """Inference: forward without training. Within `Container.compose` a call as part of the pass under way."""
        if others or options:
            raise TypeError(f"{self.label}: {habits.CALL}")
        if here.calls is not None:
            return here.calls.call(self, x)
        if here.tracer is not None:
            raise TypeError(f"{here.layer}: a layer that is traced cannot call {self.label} as a function, which is "
                            "inference; derive it from Container and let compose make the calls, or say traceable = "
                            "False")
        if opaque(self, self.backend):
            x = entered(self, None, x, "x")
            with untouched(self, x, "x", "_runner" not in vars(self)):  # the first time it is called
                y = self.forward(x)
            vars(self).setdefault("_runner", Runner())
            if here.watches and not here.layer:
                watch.tell(self, "y", y)
            return y
        if composing():
            return self.forward(x)
        return self.runner.inference(self, x)

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
    def name(self):
        """The dotted path from the outermost net: from the one that is traced just now, else from the first one that
        was made of this layer and is still there, else from the last one."""
        if here.paths is not None and id(self) in here.paths:
            return here.paths[id(self)]
        homes = vars(self).get("_homes", ())
        found = next((path for net, path in homes if net() is not None), None)
        return found if found is not None else homes[-1][1] if homes else vars(self).get("_name", "")

    @name.setter
    def name(self, name):
        vars(self).update(_name=name, _homes=())

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

    def __getattr__(self, name):
        return habits.look_up(self, name, self.label, habits.LAYER)

    def check(self, **options):
        """The constructor's arguments as they are kept; TypeError or ValueError where one does not fit."""
        return options

    def set_options(self, **options):
        """Check the constructor's arguments, then make attributes of them."""
        for name, value in self.check(**options).items():
            self._assign(name, value)

    def check_size(self, *shape):
        """ValueError where a weight of this shape would be larger than any that fits, or where the layer has a weight
        already, of another shape."""
        if prod(shape) > arguments.LARGEST:
            raise ValueError(f"these sizes make a weight of shape {shape}, which is {prod(shape):.3g} numbers; at most "
                             f"{arguments.LARGEST:.3g} are allowed")
        weight = vars(self).get("weight")
        if weight is not None and weight.shape != shape:
            raise ValueError(f"the weight has shape {weight.shape}, and these sizes want {shape}: make a new layer")

    def check_attribute(self, name, value):
        """What is kept of a value that is assigned to an attribute, other than an option; TypeError or ValueError."""
        if name in self.buffer_names:
            return arguments.array(value, name)
        if name == "backend":
            return arguments.choice(value, kernels.BACKENDS, name)
        if isinstance(vars(self).get(name), Parameter) and value is not None:
            return arguments.instance(value, Parameter, name, "a Parameter or None")
        return parts.kept(value, name, (Layer, Parameter))

    def __setattr__(self, name, value):
        if name == "saved" and not isinstance(value, Tree):
            object.__setattr__(self, name, value)
            return
        if isinstance(value, Value):
            if name in self.buffer_names:
                here.tracer.assign(self, name, value)
                return
        try:
            if name in _OWN:
                parts.check_name(self, name, value, _OWN[name], (Layer, Parameter))
            if name in self.options and all(option in vars(self) for option in self.options):
                value = self.check(**{option: vars(self)[option] for option in self.options} | {name: value})[name]
            else:
                value = self.check_attribute(name, value)
        except (TypeError, ValueError) as error:
            name_layer(error, self)
            raise
        self._assign(name, value)

    def _assign(self, name, value):
        buffer = name in self.buffer_names
        if not (buffer and changes.here.quiet):
            object.__setattr__(self, name, value)
            changes.note(buffer)

    def __delattr__(self, name):
        object.__delattr__(self, name)
        changes.note()

    def to(self, backend):
        """Compute with ``"cpu"`` or ``"naive"`` from now on, here and in every layer inside. Returns self."""
        try:
            _load(arguments.choice(backend, kernels.BACKENDS, "backend"))
        except (TypeError, ValueError) as error:
            name_layer(error, self)
            raise
        for _, layer in self.named_layers():
            layer.backend = backend
        return self

    def astype(self, dtype):
        """Convert parameters, gradients and running statistics to float32 or float64, in place. Returns self.
        ValueError for numbers beyond that dtype; nothing is changed then."""
        try:
            dtype = arguments.dtype(dtype)
            for name, (value, *_) in state_.entries(self).items():
                arguments.converted(value, dtype, name)
        except (TypeError, ValueError) as error:
            name_layer(error, self)
            raise
        for parameter in self.parameters():
            parameter.astype(dtype)
            if parameter.grad is not None:
                with np.errstate(over="ignore"):
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
        own = [parameter for _, parameter in self._parts(Parameter)]
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
        own = self._parts(Parameter)
        if type(self).parameters is not Layer.parameters:
            known = {id(value) for _, value in own}
            for _, child in self.named_children():
                known.update(map(id, child.parameters()))
            own += [(str(i), value) for i, value in enumerate(self.parameters()) if id(value) not in known]
        return own

    def state_dict(self):
        """Copies of all parameters and running statistics: a dict from name to array, with PyTorch's names."""
        return {name: np.array(value) for name, (value, *_) in state_.entries(self).items()}

    def load_state_dict(self, state, strict=True):
        """Take over copies of the values in `state`, which has the names and shapes of `state_dict`: arrays, lists of
        numbers, or PyTorch's tensors in the CPU's memory. A norm's num_batches_tracked may be missing, and stays then;
        a float that is a whole number will do for it. Returns (missing_keys, unexpected_keys), two lists, which are
        empty unless strict=False passes over both.

        ValueError that lists the names that are missing, unexpected (with `strict`) or of another shape or kind;
        nothing is changed then.
        """
        return state_.load(self, state, flag(self, strict, "strict"))

    # What is known without computing

    def program(self, input_shape, training=False, dtype=None):
        """What the layer does with an x of `input_shape`, batch included, as lists of operations that print themselves:
        as the layers are written, and as the backend's rules have joined them. ``print(net.program((128, 3, 32, 32)))``
        """
        return Listing(self, self._kinds(input_shape, dtype), flag(self, training, "training"))

    def output_shape(self, input_shape):
        """The shape of y for an x of `input_shape`, batch included. ValueError where such an x does not fit.

        An opaque layer runs one sample of zeros for it, unless it overrides this.
        """
        if opaque(self, self.backend):
            kinds = self._kinds(input_shape)
            if any(not kind.shape for kind in trees.flat(kinds)):
                raise ValueError(f"{self.label}: expected x of a shape that begins with the batch, got x of shape ()")
            batch = trees.flat(kinds)[0].shape[0]
            sample = trees.map(lambda kind: np.zeros((1, *kind.shape[1:]), kind.dtype), kinds)
            sample = entered(self, self.ops, sample, "x", integers=True)    # laid out as in a net
            y = entered(self, None, self.forward(sample), "y")
            return trees.map(lambda one: (batch, *one.shape[1:]), y)
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
        try:
            arguments.function(gradient, "gradient"), arguments.function(seen, "seen")
        except TypeError as error:
            name_layer(error, self)
            raise
        self.runner.step_through(self, x, gradient, seen)

    def _kinds(self, input_shape, dtype=None):
        try:
            found, form = trees.shapes(input_shape, "input_shape")
            dtype = self.dtype or np.dtype(np.float32) if dtype is None else arguments.dtype(dtype)
        except (TypeError, ValueError) as error:
            name_layer(error, self)
            raise
        kinds = trees.build(form, [shapes.Kind(shape, dtype) for shape in found])
        return with_integers(self, kinds) if self.lets_integers_in() else kinds

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
        state = {name: value for name, value in vars(self).items() if name not in ("saved", "_runner", "_homes")}
        return state | ({"_name": self.name} if self.name else {})

    def __setstate__(self, state):
        vars(self).update(state)
        if self.named_children():
            self.adopt()


# What every layer has, by its name: attributes that another one must not hide.
_OWN = {"compose": None} | {name: what for base in (Tree, Layer) for name, what in vars(base).items()
                            if not name.startswith("_")}


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
