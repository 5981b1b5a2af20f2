"""The tree that a layer and those inside it make: what is where, under which name, and what takes another's place."""
import difflib
import weakref

from fastnet import arguments
from fastnet.layers import parts
from fastnet.parameter import Parameter
from fastnet.program.calls import name_layer

_SHOWN = 8  # names that an error lists


class Tree:
    """What every layer is as a part of a net: it has a name, and may have layers inside."""

    def named_children(self):
        """The layers directly inside this one: a list of (name, Layer)."""
        return self._parts(Tree)

    def _parts(self, kind):
        """The layers or Parameters that are attributes, or in attributes that are tuples or dictionaries."""
        try:
            return parts.of(self, kind, (Tree, Parameter))
        except TypeError as error:
            name_layer(error, self)
            raise

    def lets_integers_in(self):
        """Whether it, or a layer inside it, takes integers as they are."""
        return any(layer.takes_integers for _, layer in self.named_layers())

    def named_layers(self, prefix=""):
        """This layer and all inside it, outermost first: a list of (dotted path, layer)."""
        found = [(prefix, self)]
        for name, child in self.named_children():
            found += child.named_layers(f"{prefix}.{name}" if prefix else name)
        return found

    def __getitem__(self, path):
        """The layer at a dotted path within this one: ``net["layer1.0.conv1"]``. KeyError where there is none."""
        return _find(self, path)[2]

    def __setitem__(self, path, layer):
        """Put another layer in the place of the one at a dotted path: ``net["fc"] = Linear(512, 5)``. All others keep
        their names and their state, and the old one is forgotten; an optimiser has to be told of the new parameters.
        KeyError where there is no such path, TypeError for what is no layer or none that can stand there, and
        ValueError for one that the net has already; nothing is changed then."""
        parent, name, old = _find(self, path)
        asked = self
        try:
            arguments.instance(layer, Tree, f"the layer at {path!r}", "a layer")
            asked = parent
            parent.check_child(name, layer)
        except (TypeError, ValueError) as error:
            name_layer(error, asked)
            raise
        if layer is not old:
            exchange(parent, [old], [(name, layer)], lambda: _swap(parent, name, old, layer))

    def check_child(self, name, layer):
        """Refuse a layer that cannot take the place of the child of that name; TypeError or ValueError."""

    def adopt(self):
        """Tell every layer inside its dotted path. ValueError where a layer or a parameter is found in two places,
        since each has one gradient and saves for one backward at a time. Containers call it when they are made. Returns
        `named_layers`, from the outermost net on."""
        found = self.named_layers(self.name)
        _note(self, {}, found)
        inside, this = {id(layer) for _, layer in found}, weakref.ref(self)
        for path, layer in found[1:]:
            homes = vars(layer).get("_homes", ())
            if not any(net is this and place == path for net, place in homes):
                kept = [home for home in homes if home[0]() is not None and id(home[0]()) not in inside]
                stays = kept[:1] == list(homes[:1])     # the net that gives the layer its name
                vars(layer)["_homes"] = (*kept, (this, path)) if kept and stays else ((this, path), *kept)
        return found


def exchange(net, gone, come, change):
    """Call ``change()``, after which the layers `gone` are no longer inside `net`, and those of `come`, (name, layer),
    are. ValueError, before that, where a net that holds this one would have a layer or a parameter twice."""
    leaving = {id(layer) for one in gone for _, layer in one.named_layers()}
    nets = _nets(net)
    for root, path in nets:
        seen = {}
        _note(root, seen, [(place, layer) for place, layer in root.named_layers(root.name) if id(layer) not in leaving])
        for name, layer in come:
            _note(root, seen, layer.named_layers(f"{path}.{name}".lstrip(".")))
    change()
    for root, _ in nets:
        root.adopt()
    for one in gone:
        for _, layer in one.named_layers():
            kept = tuple(home for home in vars(layer).get("_homes", ())
                         if home[0]() is not None and _holds(home[0](), layer))
            vars(layer)["_homes"] = kept
            if not kept:
                vars(layer)["_name"] = ""


def _nets(net):
    """(net, path of this one in it) of all nets that are there and hold it, itself last."""
    found = [(home(), path) for home, path in vars(net).get("_homes", ()) if home() is not None]
    return [*((root, path) for root, path in found if _holds(root, net)), (net, net.name)]


def _holds(net, layer):
    return any(one is layer for _, one in net.named_layers())


def _note(net, seen, found):
    """Note where layers and their parameters are, in `seen`, {id: place}; ValueError for one that is noted already."""
    for path, layer in found:
        own = [(f"{path}.{name}".lstrip("."), parameter) for name, parameter in layer.own_parameters()]
        for place, part in [(path, layer), *own]:
            if id(part) in seen:
                raise ValueError(f"{net.label}: the same {type(part).__name__} is at {seen[id(part)]!r} and at "
                                 f"{place!r}; make one object for each place")
            seen[id(part)] = place


def _find(net, path):
    """(parent, name, layer) of what is at a dotted path, which may have dots in its names."""
    try:
        arguments.text(path, "the path of a layer")
    except TypeError as error:
        name_layer(error, net)
        raise
    found = _walk(net, path)
    if found is None:
        paths = [one for one, _ in net.named_layers()[1:]]
        near = difflib.get_close_matches(path, paths, 1)
        names = [repr(name) for name, _ in net.named_children()]
        known = f"did you mean {near[0]!r}?" if near else "it holds none" if not names else \
            f"there are {', '.join(names[:_SHOWN])}" + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
        raise KeyError(f"{net.label}: there is no layer at {path!r}; {known}")
    return found


def _walk(net, path):
    for name, child in net.named_children():
        if path == name:
            return net, name, child
        if path.startswith(f"{name}."):
            found = _walk(child, path[len(name) + 1:])
            if found is not None:
                return found
    return None


def _swap(parent, name, old, new):
    """Let the attribute that is or holds one layer hold another in its place."""
    for attribute, value in vars(parent).items():
        other = parts.swapped(value, old, new)
        if other is not value:
            setattr(parent, attribute, other)
            return
    error = TypeError(f"{name!r} is kept where it cannot be exchanged: assign to the attribute that holds it")
    name_layer(error, parent)
    raise error
