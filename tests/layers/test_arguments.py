"""Every argument of every layer refuses what is of another kind, in words of one form, when it is made and later."""
import inspect

import numpy as np
import pytest

from fastnet import layers
from fastnet.layers import Add, Identity, ReLU

from .battery import build
from .wrong import NEVER, digest, judge

CHANNELS = {"num_features": 4, "eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True,
            "bias": True}
# Right arguments of each layer; a public layer that is missing here fails `test_every_layer_is_here`.
RIGHT = {
    "Activation": {}, "AdaptiveAvgPool2d": {"output_size": 1},
    "AdaptiveMaxPool2d": {"output_size": 1, "return_indices": False}, "Add": {},
    "AvgPool2d": {"kernel_size": 2, "stride": 2, "padding": 0, "ceil_mode": False, "count_include_pad": True,
                  "divisor_override": 3},
    "BatchNorm1d": CHANNELS, "BatchNorm2d": CHANNELS, "InstanceNorm2d": CHANNELS,
    "CELU": {"alpha": 1.0}, "ChannelShuffle": {"groups": 2}, "Chunk": {"chunks": 2, "dim": 1},
    "Concat": {"dim": 1}, "Container": {},
    "Conv1d": {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1,
               "groups": 1, "bias": True, "padding_mode": "zeros"},
    "Conv2d": {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1,
               "groups": 1, "bias": True, "padding_mode": "zeros"},
    "ConvTranspose2d": {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "stride": 1, "padding": 0,
                        "output_padding": 0, "groups": 1, "bias": True, "dilation": 1, "padding_mode": "zeros"},
    "Dropout": {"p": 0.5}, "Dropout1d": {"p": 0.5}, "Dropout2d": {"p": 0.5}, "ELU": {"alpha": 1.0},
    "Embedding": {"num_embeddings": 4, "embedding_dim": 3, "padding_idx": 1, "max_norm": None, "norm_type": 2.0,
                  "scale_grad_by_freq": False, "sparse": False},
    "Flatten": {"start_dim": 1, "end_dim": 2},
    "GELU": {"approximate": "none"},
    "GRU": {"input_size": 3, "hidden_size": 2, "num_layers": 2, "bias": True, "batch_first": False, "dropout": 0.5,
            "bidirectional": False, "returns": "all"},
    "Graph": {"nodes": {"a": (Identity(), "x")}, "inputs": ("x",), "outputs": "a"},
    "Hardshrink": {"lambd": 0.5}, "LogSigmoid": {},
    "Maxout": {"in_features": 3, "out_features": 2, "pieces": 2, "bias": True}, "Mean": {"dim": 1, "keepdim": False},
    "Multiply": {}, "PReLU": {"num_parameters": 1, "init": 0.25}, "Permute": {"dims": (0, 1)},
    "Softshrink": {"lambd": 0.5}, "Tanhshrink": {}, "Threshold": {"threshold": 0.1, "value": 20.0},
    "Unflatten": {"dim": 1, "unflattened_size": (2, 3)},
    "GroupNorm": {"num_groups": 2, "num_channels": 4, "eps": 1e-5, "affine": True, "bias": True},
    "LayerScale": {"dim": 4, "init": 0.1},
    "LayerNorm": {"normalized_shape": 4, "eps": 1e-5, "elementwise_affine": True, "bias": True},
    "LocalResponseNorm": {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
    "RMSNorm": {"normalized_shape": 4, "eps": 1e-5, "elementwise_affine": True},
    "StochasticDepth": {"p": 0.5, "mode": "row"},
    "Hardsigmoid": {}, "Hardswish": {}, "Hardtanh": {"min_val": -1, "max_val": 1}, "Identity": {}, "Layer": {},
    "LeakyReLU": {"negative_slope": 0.1}, "Linear": {"in_features": 3, "out_features": 2, "bias": True},
    "LSTM": {"input_size": 3, "hidden_size": 2, "num_layers": 2, "bias": True, "batch_first": False, "dropout": 0.5,
             "bidirectional": False, "proj_size": 0, "returns": "all"},
    "LocallyConnected2d": {"in_channels": 4, "out_channels": 4, "input_size": 5, "kernel_size": 3, "stride": 1,
                           "padding": 0, "bias": True},
    "LogSoftmax": {"dim": 1},
    "MaxPool2d": {"kernel_size": 2, "stride": 2, "padding": 0, "dilation": 1, "return_indices": False,
                  "ceil_mode": False},
    "MaxUnpool2d": {"kernel_size": 2, "stride": 2, "padding": 0, "output_size": 5}, "Merge": {}, "Mish": {},
    "Parallel": {"merge": Add(), "branches": (Identity(),)},
    "RNN": {"input_size": 3, "hidden_size": 2, "num_layers": 2, "nonlinearity": "tanh", "bias": True,
            "batch_first": False, "dropout": 0.5, "bidirectional": False, "returns": "all"},
    "ReLU": {}, "ReLU6": {}, "Recompute": {"layer": ReLU()},
    "Residual": {"body": ReLU(), "shortcut": ReLU()},
    "RoIAlign": {"output_size": 2, "spatial_scale": 0.5, "sampling_ratio": 2, "aligned": False},
    "RoIPool": {"output_size": 2, "spatial_scale": 0.5}, "Sequential": {"layers": (ReLU(),)}, "SELU": {}, "SiLU": {},
    "Sigmoid": {}, "Softplus": {"beta": 1.0, "threshold": 20.0}, "Softsign": {},
    "Softmax": {"dim": 1}, "Tanh": {},
    "BedOfNails": {"scale_factor": 2}, "PixelShuffle": {"upscale_factor": 2}, "PixelUnshuffle": {"downscale_factor": 2},
    "CircularPad2d": {"padding": 1}, "ConstantPad2d": {"padding": 1, "value": 0.5}, "ReflectionPad2d": {"padding": 1},
    "ReplicationPad2d": {"padding": 1}, "ZeroPad2d": {"padding": 1},
    "Upsample": {"size": None, "scale_factor": 2, "mode": "nearest", "align_corners": None,
                 "recompute_scale_factor": None},
    "UpsamplingBilinear2d": {"size": 3, "scale_factor": None}, "UpsamplingNearest2d": {"size": None, "scale_factor": 2},
}
# What an error calls an argument, where that is not its name; and wrong values that are right for an argument.
CALLED = {("Recompute", "layer"): "the argument", ("Sequential", "layers"): "argument 1",
          ("Parallel", "branches"): "branch 1", ("Parallel", "merge"): "merge", ("Graph", "nodes"): "(nodes|entry)"}
ALLOWED = {("Graph", "nodes", "empty"), ("Graph", "inputs", "word"), ("Graph", "outputs", "word")}

PUBLIC = {name: getattr(layers, name) for name in layers.__all__ if isinstance(getattr(layers, name), type)}
ARGUMENTS = [(name, argument) for name in sorted(RIGHT) for argument in RIGHT[name]]


def make(name, **changed):
    """A layer of that class with some arguments changed; of layers that it takes in a row the last one."""
    cls, given = PUBLIC[name], RIGHT[name] | {}
    positional = []
    for argument, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += [*given.pop(argument, ()), *([changed.pop(argument)] if argument in changed else [])]
        elif positional or argument == "merge":
            positional.append(changed.pop(argument, given.pop(argument)))
    return cls(*positional, **given | changed)


def test_every_layer_is_here():
    """With every argument that its constructor has, and every option among them."""
    assert RIGHT.keys() == PUBLIC.keys()
    for name, cls in PUBLIC.items():
        parameters = inspect.signature(cls).parameters if cls.__init__ is not object.__init__ else {}
        assert list(RIGHT[name]) == list(parameters), name
        assert set(cls.options) <= set(parameters), name


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=map("-".join, ARGUMENTS))
def test_constructors(name, argument):
    layer = make(name)
    for what, value in NEVER.items():
        if (name, argument, what) in ALLOWED:
            continue
        with pytest.raises((TypeError, ValueError)) as caught:
            make(name, **{argument: value})
        judge(caught.value, f"^{name}: ", CALLED.get((name, argument), argument))
        if what not in ("NaN", "infinite", "word", "empty", "huge", "long"):
            assert caught.type is TypeError, f"{what}: {caught.value}"
    if argument in layer.options:
        before = dict(vars(layer)), digest(layer)
        for value in NEVER.values():
            with pytest.raises((TypeError, ValueError)) as caught:
                setattr(layer, argument, value)
            judge(caught.value, f"^{name}: ", argument)
            assert (dict(vars(layer)), digest(layer)) == before


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=map("-".join, ARGUMENTS))
def test_numpys_integers_and_numbers_are_pythons(name, argument):
    """A bool is none of them, and the layer prints itself as if they were Python's."""
    value = RIGHT[name][argument]
    if isinstance(value, bool):
        assert repr(make(name, **{argument: np.bool_(value)})) == repr(make(name))
        for other in (1, 0, None, "yes"):
            with pytest.raises(TypeError, match=f"^{name}: {argument} must be True or False, got "):
                make(name, **{argument: other})
    elif isinstance(value, (int, float)):
        kinds = (np.int64, np.uint8) if isinstance(value, int) and value >= 0 else (np.float64,)
        for kind in kinds:
            layer = make(name, **{argument: kind(value)})
            assert repr(layer) == repr(make(name))
            if argument in layer.options:
                setattr(layer, argument, kind(value))
                assert repr(layer) == repr(make(name))
        with pytest.raises(TypeError) as caught:
            make(name, **{argument: True})
        judge(caught.value, f"^{name}: ", argument, "got True$")


ATTRIBUTES = [("Linear(3, 2)", "weight", "weight must be a Parameter or None"),
              ("Conv2d(3, 2, 1)", "bias", "bias must be a Parameter or None"),
              ("BatchNorm1d(3)", "running_mean", "running_mean must be a NumPy array"),
              ("BatchNorm2d(3)", "num_batches_tracked", "num_batches_tracked must be a NumPy array"),
              ("BatchNorm2d(3)", "frozen", "frozen must be True or False"),
              ("Dropout()", "frozen", "frozen must be True or False"),
              ("ReLU()", "backend", "backend must be 'naive' or 'cpu'")]


@pytest.mark.parametrize(("text", "name", "words"), ATTRIBUTES, ids=[f"{c[0]}-{c[1]}" for c in ATTRIBUTES])
def test_other_attributes(text, name, words):
    layer = build(text)
    before = dict(vars(layer)), digest(layer)
    for value in (3, "x", [1.0], object(), layers.ReLU):
        with pytest.raises((TypeError, ValueError), match=f"^{type(layer).__name__}: {words}, got "):
            setattr(layer, name, value)
        assert (dict(vars(layer)), digest(layer)) == before


def test_weights_beyond_all_memory_are_refused():
    """Before anything is allocated."""
    for text in ("Linear(2**20, 2**20)", "Conv2d(2**16, 2**16, 3)", "Conv2d(1, 1, 10**9)"):
        with pytest.raises(ValueError, match="these sizes make a weight of shape .* numbers; at most 2.15e"):
            build(text)
    for text, name in [("BatchNorm1d(10**12)", "num_features"), ("Linear(1, 10**30)", "out_features"),
                       ("Conv2d(1, 1, 3, padding=2**31)", "padding"), ("MaxPool2d(2, stride=(1, 2**31))", "stride")]:
        with pytest.raises(ValueError, match=f"{name} must be at most 2147483647, got "):
            build(text)
    with pytest.raises(ValueError, match="^Conv2d: each image would become one of .* pixels, and at most 2147483647 "):
        build("Conv2d(1, 1, 3, padding=2**20)")(np.ones((1, 1, 5, 5), np.float32))
