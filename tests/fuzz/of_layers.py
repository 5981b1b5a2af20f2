"""The fuzzer's targets among layers and what is done with them."""
import copy
import functools

import numpy as np

import fastnet
from fastnet import Linear, Parameter, ReLU, Sequential, init, kernels, models
from fastnet.program import trees

from ..layers.battery import CASES, NAMES, arrays, build
from ..layers.test_arguments import CALLED, PUBLIC, RIGHT
from ..layers.test_arguments import make as make_layer
from .pool import CALLABLE, LARGE
from .target import Target

# What those who write layers call, and nets; none of it is an argument of a user's.
FOR_AUTHORS = {"adopt", "arguments", "check", "check_attribute", "check_child", "check_several", "check_shape",
               "check_size", "compose", "compute", "differentiate", "filters", "images", "learn", "margin",
               "own_parameters", "result", "set_options", "shape_of", "start", "take_saved", "where", "windows",
               "zeros"}
# Those that take nothing.
PLAIN = {"named_children", "named_layers", "named_parameters", "parameters", "state_dict", "trains"}
SHAPE = {"input_shape": LARGE}


@functools.cache
def _case(name):
    """(text, shape) of the battery's first layer of that class."""
    own = {cls for cls in NAMES if cls != name and cls != "frozen"}     # what theirs is, nobody judges
    return next(((text, shape) for text, shape in CASES if type(_built(text)).__name__ == name
                 and not any(f"{cls}(" in text for cls in own)), None)


@functools.cache
def _built(text):
    return build(text)


def _method(name, method, *arguments):
    """A method of a fresh layer; `arguments` are (name, function of the layer and its x, which tells the right one)."""
    def make():
        text, shape = _case(name)
        layer, x = copy.deepcopy(_built(text)), arrays(shape)
        if method == "backward":
            y = layer.forward(x, training=True)
            given = {argument: tell(layer, trees.map(np.ones_like, y)) for argument, tell in arguments}
        else:
            given = {argument: tell(layer, x) for argument, tell in arguments}
        return getattr(layer, method), given, [layer]

    words = dict.fromkeys(("*x", "x", "dy"), r"(x|dy|arrays|inputs)\b")
    words |= {"state": "(state|nothing was loaded)",
              "input_shape": r"(input_shape|x of shape|as x|inputs|axis|batch|images?\b)"}
    never = SHAPE | {"gradient": CALLABLE, "seen": CALLABLE}
    return Target(f"{name}.{method}", make, rf'^({name}|\w+ ".+"): ', words, never)


METHODS = {
    "__call__": [("*x", lambda layer, x: x)],
    "forward": [("x", lambda layer, x: x), ("training", lambda layer, x: False)],
    "backward": [("dy", lambda layer, dy: dy), ("need_dx", lambda layer, dy: True)],
    "load_state_dict": [("state", lambda layer, x: layer.state_dict()), ("strict", lambda layer, x: True)],
    "to": [("backend", lambda layer, x: "cpu")],
    "astype": [("dtype", lambda layer, x: "float32")],
    "output_shape": [("input_shape", lambda layer, x: trees.map(np.shape, x))],
    "multiply_adds": [("input_shape", lambda layer, x: trees.map(np.shape, x))],
    "program": [("input_shape", lambda layer, x: trees.map(np.shape, x)), ("training", lambda layer, x: False),
                ("dtype", lambda layer, x: "float32")],
    "step_through": [("x", lambda layer, x: x), ("gradient", lambda layer, x: lambda y: None),
                     ("seen", lambda layer, x: lambda *args: None)],
}


def _constructor(name):
    def make():
        given = {argument: ReLU() if argument in ("layers", "branches") else value     # one more of them
                 for argument, value in RIGHT[name].items()}
        return (lambda **changed: make_layer(name, **changed)), given, [list(given.values())]

    words = {argument: CALLED[name, argument] for argument in RIGHT[name] if (name, argument) in CALLED}
    if name == "Graph":
        words = dict.fromkeys(RIGHT[name], "(nodes|entry|entries|inputs?|outputs)")
    if "Upsampl" in name:
        words |= {argument: "(size|scale_factor|mode|align_corners)" for argument in RIGHT[name]}
    if name in ("Linear", "Conv1d", "Conv2d", "ConvTranspose2d", "LocallyConnected2d", "MaxPool2d", "AvgPool2d",
                "BatchNorm1d", "BatchNorm2d", "InstanceNorm2d", "GroupNorm", "LayerNorm", "RMSNorm", "LayerScale",
                "Embedding", "RNN", "GRU", "LSTM"):
        words |= {argument: f"({argument}|these sizes|padding|a kernel|each image)" for argument in RIGHT[name]}
    return Target(name, make, name, words)


def _of_row(method, **right):
    """A method that changes a row of layers."""
    def make():
        net = Sequential(Linear(3, 2), ReLU())
        return getattr(net, method), {name: value() for name, value in right.items()}, [net]

    return Target(f"Sequential.{method}", make, "^Sequential: ", {"index": "(index|layers)"}, errors=(IndexError,))


def _assigned(name, option):
    """An attribute of a layer that is an argument of its constructor, and is assigned later."""
    def make():
        layer = make_layer(name)
        return (lambda value: setattr(layer, option, value)), {"value": getattr(layer, option)}, [layer]

    words = rf"({option}|the weight|these sizes|padding|max_val|scale_factor|mode|a kernel|each image)"
    return Target(f"{name}.{option} =", make, name, {"value": words})


def _of_net(function, *arguments, **words):
    """A function that takes a net first."""
    def make():
        net, x = Sequential(Linear(3, 2), ReLU()), np.ones((2, 3), np.float32)
        right = {"net": net, "x": x, "dy": np.ones((2, 2), np.float32), "input_shape": (2, 3), "pattern": "*",
                 "dtype": "float32", "names": "*", "training": False, "function": lambda *told: None}
        return function, {name: right[name] for name in ("net", *arguments)}, [net]

    words |= {"input_shape": r"(input_shape|x of shape|axis|batch)", "x": r"x\b", "dy": r"dy\b",
              "net": r"(net\b|Sequential|dy|x\b)"}
    return Target(function.__name__, make, ".", words, SHAPE)


def _plain(name, function, never=None, **right):
    return Target(name, lambda: (function, dict(right), []), name.rpartition(".")[2], never=never or {})


def _without_weights(name):
    def make(**given):
        with init.skip():
            return getattr(models, name)(**given)
    return make


def _parameter(attribute, right):
    def make():
        parameter = Parameter(np.ones(3, np.float32))
        return (lambda value: setattr(parameter, attribute, value)), {"value": right()}, [parameter]

    return Target(f"Parameter.{attribute} =", make, ".", {"value": attribute})


TARGETS = [
    *(_constructor(name) for name in PUBLIC),
    *(_method(name, method, *METHODS[method]) for name in PUBLIC if _case(name) for method in METHODS),
    *(_assigned(name, option) for name in PUBLIC for option in PUBLIC[name].options),
    _of_row("append", layer=ReLU), _of_row("insert", index=lambda: 1, layer=ReLU), _of_row("pop", index=lambda: 0),
    _of_row("extend", layers=lambda: [ReLU(), Linear(2, 2)]),
    _of_net(fastnet.freeze, "pattern"), _of_net(fastnet.unfreeze, "pattern"), _of_net(fastnet.seal),
    _of_net(fastnet.unseal), _of_net(fastnet.summary, "input_shape"),
    _of_net(fastnet.explain, "input_shape", "dtype"), _of_net(fastnet.input_gradient, "x", "dy"),
    _of_net(fastnet.activations, "x", "names", "training", names="(names|pattern)"),
    _of_net(fastnet.gradients, "x", "dy", "names", names="(names|pattern)"), _of_net(fastnet.profile, "x", "training"),
    _of_net(fastnet.watch, "function", "names", names="(names|pattern)"),
    *(_plain(name, _without_weights(name), num_classes=10) for name in models.__all__),
    Target("load", lambda: (kernels.load, {"backend": "cpu"}, []), "."),
    _plain("manual_seed", fastnet.manual_seed, seed=0),
    Target("Parameter", lambda: (Parameter, {"value": np.ones(3), "requires_grad": True}, []), "[Pp]arameter"),
    _parameter("value", lambda: np.ones(3, np.float32)), _parameter("grad", lambda: np.ones(3, np.float32)),
    _parameter("requires_grad", lambda: True),
]
# Names that need no target, with the reason.
EXEMPT = {
    **{f"{name}.{method}": "for who writes layers, or takes nothing"
       for name in PUBLIC for method in FOR_AUTHORS | PLAIN},
    **{f"{name}.{method}": "the user's own, there is none" for name in PUBLIC if not _case(name) for method in METHODS},
    **dict.fromkeys(("exact", "bfloat16_products", "plainly", "generator", "skip", "empty_cache"), "takes nothing"),
    **dict.fromkeys(("Listing", "Summary", "Explanation", "LayerGradient", "Profile", "ProfileRow"),
                    "what functions give, made by them alone"),
    "collect": "for who writes a backend",
}
