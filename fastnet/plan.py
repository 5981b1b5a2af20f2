"""From a net and an input shape to a flat list of fused steps.

A container of layers in a row asks for a Plan for each input shape it meets, and keeps it. Making one opens nested
containers, checks every shape before anything is computed, and fuses:

* layer, ReLU: one step, the layer applies the ReLU as it writes its result. So does any layer whose forward accepts
  ``relu=False``, a user's too.
* BatchNorm2d, SiLU: one step likewise, of any layer whose forward accepts ``silu=False``; its backward undoes it.
* ReLU, MaxPool2d: the pooling applies the ReLU, to a quarter of the values.
* Conv2d, MaxPool2d(2), a ReLU between them or not: one step, only the largest of each 2 x 2 pixels is ever written. At
  inference also with a BatchNorm2d between them.
* Conv2d, BatchNorm2d: at inference one convolution with the scale folded into its weights.
* Weights that inference wants in another form are kept in it; layers whose forward accepts ``packed=None`` are given
  the `Packed` that keeps them (fastnet/packed.py).
* The sum at the end of a residual block: the last step of its body adds the shortcut as it writes its result, where its
  forward accepts ``add=None``; on the way back the first step adds the shortcut's gradient and applies the mask.
* backward: where the layer after a fused ReLU accepts ``mask=None`` in backward, it multiplies its dx by (mask > 0) as
  it writes it; the layer that holds the ReLU is then told ``masked=True`` and does not do it again.

The results are those of the layers called one after the other, up to rounding where a batch norm is folded. Plans know
layers only by what their methods accept and by `Layer.kind`; a layer whose class overrides forward or backward is
called plainly. A plan holds no arrays, so threads may share it.
"""
import functools
from inspect import signature

import numpy as np


class Plan:
    """The steps for an input shape; `forward` and `backward` run them. ValueError where the shape does not fit."""

    def __init__(self, layers, input_shape):
        self.input_shape = input_shape
        layers = list(_opened(layers))
        self.output_shape = _checked(layers, self.input_shape)
        self.steps = _fused(layers)
        for step, following in zip(self.steps, self.steps[1:], strict=False):
            leaves = step.relu and step.pool is None and accepts(step.run.backward, "masked")
            if leaves and accepts(following.run.backward, "mask"):
                step.masked = following.mask = True
        # Whether the last step can add another array to y before a ReLU, and the first one another to dx before a mask.
        last = self.steps[-1] if self.steps else None
        self.adds = bool(self.steps) and last.plain() and accepts(last.run.forward, "add")
        self.adds_back = bool(self.steps) and all(
            accepts(self.steps[0].run.backward, argument) for argument in ("add", "mask"))

    def infer(self, x, packed=None, end=None):
        """y, leaving nothing behind but what `packed` keeps; `end` holds arguments for the last step's forward."""
        for step in self.steps:
            x = step.forward(x, packed=packed, options=end if step is self.steps[-1] else None)
        return x

    def forward(self, x, end=None):
        """y and what `backward` wants besides that which the layers saved: the results of ReLUs that others mask."""
        kept = []
        for step in self.steps:
            x = step.forward(x, True, options=end if step is self.steps[-1] else None)
            kept.append(x if step.masked else None)
        return x, kept

    def backward(self, dy, kept, need_dx=True, end=None):
        """dx, or None where it is not needed; every parameter's gradient is assigned. `kept` is used up, `end` holds
        arguments for the first step's backward."""
        first = self.first_trained()
        for i in range(len(self.steps) - 1, -1, -1):
            kept.pop()  # the result of this step, needed no longer: its memory may serve for what comes
            if i < first and not need_dx:
                self.steps[i].release()
            else:
                dy = self.steps[i].backward(dy, need_dx or i > first, kept[i - 1] if i else None, None if i else end)
        return dy if need_dx else None

    def first_trained(self):
        """The first step with a parameter to train: those before need no backward, unless the caller wants dx."""
        for i, step in enumerate(self.steps):
            if any(layer.trains() for layer in step.layers):
                return i
        return len(self.steps)

    def __repr__(self):
        lines = "".join(f"\n  {step!r}" for step in self.steps)
        return f"Plan({self.input_shape} -> {self.output_shape}){lines}"


class Step:
    """A layer, or a ConvNorm, with the ReLU and the max-pooling, or the SiLU, that it absorbs."""

    def __init__(self, run, layers):
        self.run = run          # what is called
        self.layers = layers    # the net's layers that it stands for
        self.relu = False       # whether forward applies a ReLU
        self.silu = False       # whether forward applies a SiLU
        self.pool = None        # the max-pooling that forward does
        self.masked = False     # whether the next step's backward undoes that ReLU
        self.mask = False       # whether backward undoes the ReLU of the step before
        self.packs = accepts(run.forward, "packed")

    def forward(self, x, training=False, packed=None, options=None):
        options = {} if options is None else dict(options)
        if self.relu:
            options["relu"] = True
        if self.silu:
            options["silu"] = True
        if self.pool is not None:
            options["pool"] = self.pool
        if self.packs and packed is not None:
            options["packed"] = packed
        return self.run.forward(x, training, **options)

    def plain(self):
        """Whether its result is what its layer alone would give."""
        return not self.relu and not self.silu and self.pool is None

    def backward(self, dy, need_dx, mask=None, options=None):
        options = {} if options is None else dict(options)
        if self.mask:
            options["mask"] = mask
        if self.masked:
            options["masked"] = True
        if self.pool is not None:
            dy = self.pool.backward(dy)
        return self.run.backward(dy, need_dx, **options)

    def release(self):
        """Give up what forward saved, where no backward will come."""
        for layer in self.layers:
            for _, part in layer.named_layers():
                part.saved = None

    def __repr__(self):
        return " + ".join(layer.label for layer in self.layers)


class ConvNorm:
    """Conv2d and the BatchNorm2d after it: at inference one convolution whose weights hold the normalisation.

    With scale = gamma / sqrt(var + eps), per output channel: w' = w scale, b' = (b - mean) scale + beta. Without a
    `Packed` to keep these, and in training, the two layers run one after the other, and then the pooling.
    """

    def __init__(self, conv, norm):
        self.conv, self.norm = conv, norm

    def forward(self, x, training=False, relu=False, packed=None, add=None, pool=None, silu=False):
        conv, norm = self.conv, self.norm
        if packed is None:
            y = norm.forward(conv.forward(x, training), training, relu and pool is None, add, silu)
            return y if pool is None else pool.forward(y, training, relu)
        gamma, beta, mean, var = norm.weight.value, norm.bias.value, norm.running_mean, norm.running_var
        weight, bias = conv.arrays()
        sources = conv.ops, weight, bias, gamma, beta, mean, var, norm.eps

        def fold():
            scale = gamma / np.sqrt(var + norm.eps)
            shift = -mean if bias is None else bias - mean
            return conv.ops.conv2d_pack(weight * scale[:, None, None, None], shift * scale + beta)

        y = conv.infer(x, packed.get(norm, sources, fold), relu, add, pool)
        return conv.ops.silu_forward(y) if silu else y

    def backward(self, dy, need_dx=True, mask=None, add=None):
        return self.conv.backward(self.norm.backward(dy), need_dx, mask, add=add)


def kind(layer):
    """What a plan may take `layer` for: the kind its class states, None where a subclass changed what it computes."""
    cls = next(cls for cls in type(layer).__mro__ if "kind" in vars(cls))
    return cls.kind if type(layer).forward is cls.forward and type(layer).backward is cls.backward else None


def _opened(layers):
    """The layers, those inside nested rows in their place."""
    for layer in layers:
        if kind(layer) == "sequential":
            yield from _opened(layer.layers)
        else:
            yield layer


def _checked(layers, shape):
    """The output shape, every layer having checked its input shape; None from a layer on that cannot tell."""
    for layer in layers:
        if not all(_tells_shape(part) for _, part in layer.named_layers()):
            return None
        shape = layer.output_shape(shape)
    return shape


def _tells_shape(layer):
    """Whether output_shape is one of the library's, or stated by the class that states forward or by a subclass."""
    place = {name: i for i, cls in reversed(list(enumerate(type(layer).__mro__))) for name in vars(cls)}
    return kind(layer) is not None or place["output_shape"] <= place["forward"]


def _fused(layers):
    """The steps. Each layer either joins what was there before it or becomes a step of its own."""
    steps = []
    for layer in layers:
        last = steps[-1] if steps else None
        if last is None or last.silu:  # nothing joins a step that ends in a SiLU
            steps.append(Step(layer, [layer]))
        elif kind(layer) == "relu" and _absorbs(last.run):
            last.relu = True
            last.layers.append(layer)
        elif kind(layer) == "silu" and last.plain() and accepts(last.run.forward, "silu"):
            last.silu = True
            last.layers.append(layer)
        elif kind(layer) == "maxpool2d" and layer.halves and kind(last.layers[0]) == "conv2d" and last.pool is None:
            last.pool = layer
            last.layers.append(layer)
        elif kind(layer) == "maxpool2d" and kind(last.layers[-1]) == "relu":
            _pool_after_relu(steps, layer)
        elif kind(layer) == "batchnorm2d" and len(last.layers) == 1 and _foldable(last.run, layer):
            steps[-1] = Step(ConvNorm(last.run, layer), [last.run, layer])
        else:
            steps.append(Step(layer, [layer]))
    return steps


def _foldable(conv, norm):
    return kind(conv) == "conv2d" and conv.out_channels == norm.num_features


def _pool_after_relu(steps, pool):
    """Take the ReLU from the last step and give it to the pooling: max(max(x, 0)) = max(max(x), 0)."""
    last = steps[-1]
    relus = []
    while last.layers and kind(last.layers[-1]) == "relu":
        relus.insert(0, last.layers.pop())
    last.relu = any(kind(layer) == "relu" for layer in last.layers)
    if not last.layers:
        steps.pop()
    step = Step(pool, [*relus, pool])
    step.relu = True
    steps.append(step)


def _absorbs(layer):
    """Whether forward can apply a ReLU. An attribute `absorbs` speaks for one object where others of its class can."""
    return accepts(layer.forward, "relu") and getattr(layer, "absorbs", True)


def accepts(method, argument):
    """Whether a method has an argument of that name."""
    return _has_argument(getattr(method, "__func__", method), argument)


def infer(layer, x, packed):
    """The layer's inference, with packed weights where it knows of them."""
    if packed is not None and accepts(layer.forward, "packed"):
        return layer.forward(x, packed=packed)
    return layer.forward(x)


@functools.lru_cache(maxsize=1024)
def _has_argument(function, argument):
    return argument in signature(function).parameters
