"""Nets in words of JSON: which layers, of which arguments, in which order. Making one from them runs nothing but the
constructors of the library's layers, and of those classes that the caller names.

A layer is {"layer": its class, "arguments": {name: value}}, one of a user's own class {"own": ...} instead; a
dictionary is {"dict": {...}}, a tuple a list, and numbers, texts, true, false and null are themselves.
"""
import inspect

from fastnet import arguments, init, layers
from fastnet.layers import Activation, Container, Layer, Merge, Sequential, state
from fastnet.layers.freezing import Freezable
from fastnet.parameter import Parameter

_BASES = Layer, Container, Activation, Merge
CLASSES = {name: value for name, value in vars(layers).items()
           if isinstance(value, type) and issubclass(value, Layer) and value not in _BASES}
_MOST, _DEEPEST = 4096, 40  # layers of a net, and how deep they may lie in each other


def described(net, who):
    """The description of a net; `who` begins what errors say. ValueError, with the remedy, for what could not be made
    again: layers of a user's own that do not keep their constructor's arguments as attributes, or were changed later in
    a way that these do not tell."""
    found = {"net": _described(net, who), "dtype": None if net.dtype is None else str(net.dtype),
             "frozen": [path for path, layer in net.named_layers() if _is_frozen(layer)],
             "fixed": [name for name, parameter in net.named_parameters() if not parameter.requires_grad]}
    own = {type(layer).__name__: type(layer) for _, layer in net.named_layers() if not _is_known(type(layer))}
    before = init.generator().bit_generator.state
    try:
        again = made(found, own)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{who}: net could not be made again: {error}; use save_weights") from error
    finally:
        init.generator().bit_generator.state = before   # which the seeds of Dropout are drawn from
    if repr(again) != repr(net) or _shapes(again) != _shapes(net):
        raise ValueError(f"{who}: net would not come back as it is, since something was changed after its layers were "
                         "made; use save_weights")
    return found


def made(description, own, most=None):
    """The net of a description, its weights being zeros. `own` are further classes, {name: class}; `most` is how many
    numbers its weights and statistics may have. ValueError or TypeError for a description that no net fits."""
    with init.skip(most):
        net = _Maker(own).value(description["net"], 0)
    if not isinstance(net, Layer):
        raise ValueError("what is described is no layer")
    if description["dtype"] not in (None, str(net.dtype)):
        net.astype(description["dtype"])
    named = {path: layer for path, layer in net.named_layers() if isinstance(layer, Freezable)}
    parameters = dict(net.named_parameters())
    for path in _names(description["frozen"], named, "a layer to freeze"):
        named[path].frozen = True
    for name in _names(description["fixed"], parameters, "a parameter"):
        parameters[name].requires_grad = False
    return net


def _shapes(net):
    return {name: value.shape for name, (value, *_) in state.entries(net).items()}


def _is_frozen(layer):
    return isinstance(layer, Freezable) and layer.frozen


def _is_known(cls):
    return CLASSES.get(cls.__name__) is cls


def _names(names, known, what):
    for name in arguments.listed(names, "names", what):
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"there is no {what[2:]} {arguments.shown(name)}")
    return names


# Describing

def _described(layer, who):
    cls = type(layer)
    if "forward" in vars(layer) or "backward" in vars(layer):
        raise ValueError(f"{who}: {layer.label} has a pass that was assigned to it, which no file can hold; use "
                         "save_weights")
    given = {}
    for name in inspect.signature(cls).parameters:
        if not hasattr(layer, name) and cls is not Sequential:
            raise ValueError(f"{who}: {layer.label} does not keep the argument {name!r} of its constructor, so that "
                             f"no file can tell how it was made: assign self.{name} = {name} there, or use "
                             "save_weights")
        value = (dict(layer.named_children()),) if cls is Sequential else getattr(layer, name)
        if name == "bias" and (value is None or isinstance(value, Parameter)):
            value = value is not None
        given[name] = _word(value, f"{who}: the argument {name!r} of {layer.label}", who)
    return {"layer" if _is_known(cls) else "own": cls.__name__, "arguments": given}


def _word(value, where, who):
    """A value in words of JSON."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Layer):
        return _described(value, who)
    if isinstance(value, (tuple, list)):
        return [_word(one, where, who) for one in value]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {"dict": {key: _word(one, where, who) for key, one in value.items()}}
    raise ValueError(f"{where} is {arguments.shown(value)}, which a description of a net cannot hold: numbers, text, "
                     "layers, and tuples and dictionaries of them; use save_weights")


# Making

class _Maker:
    """Makes layers of words, and counts them."""

    def __init__(self, own):
        self._own, self._count = own, 0

    def value(self, word, depth):
        """What a word of JSON stands for; ValueError for what stands for nothing."""
        if word is None or isinstance(word, (bool, int, float, str)):
            return word
        if depth > _DEEPEST:
            raise ValueError("its layers are nested too deep")
        if isinstance(word, list):
            return tuple([self.value(one, depth + 1) for one in word])
        if word.keys() == {"dict"} and isinstance(word["dict"], dict):
            return {key: self.value(one, depth + 1) for key, one in word["dict"].items()}
        return self._layer(word, depth)

    def _layer(self, word, depth):
        self._count += 1
        if self._count > _MOST:
            raise ValueError(f"it has more than {_MOST} layers")
        cls = self._class(word)
        if not isinstance(word.get("arguments"), dict) or len(word) != 2:
            raise ValueError(f"a {cls.__name__} is described without arguments")
        given = {name: self.value(one, depth + 1) for name, one in word["arguments"].items()}
        known = inspect.signature(cls).parameters
        if given.keys() != known.keys():
            raise ValueError(f"a {cls.__name__} is described by the arguments {arguments.shown(list(given))}, it takes "
                             f"{list(known)}")
        star = next((name for name, one in known.items() if one.kind is one.VAR_POSITIONAL), None)
        if star is None:
            return cls(**given)
        return cls(*(given[name] for name in known if name != star), *arguments.listed(given[star], star, "values"))

    def _class(self, word):
        name = word.get("own")
        if name is None:
            name = word.get("layer")
            if not isinstance(name, str) or name not in CLASSES:
                raise ValueError(f"it asks for {arguments.shown(name)}, which is no layer of this library")
            return CLASSES[name]
        if not isinstance(name, str) or name not in self._own:
            raise ValueError(f"it holds a layer of the class {arguments.shown(name)}, which is not of this library: "
                             f"give load_model(path, classes_of_mine=[{name}]), or make the net and use load_weights")
        return self._own[name]
