"""Who is told what layers give while a net runs: hooks, which only look.

A pass that is watched runs its list of operations as the layers are written, node by node, so that what each layer
gives is there to be seen: the same numbers to the last bit, but for batch norms that inference folds into weights. A
`Watch` belongs to the thread that has set it, and leaves nothing on any layer.
"""
import contextlib
import fnmatch

from fastnet import arguments
from fastnet.program import trees
from fastnet.program.trace import here

_SHOWN = 6  # paths that an error lists


class Watch:
    """Calls ``function(name, what, tree)`` for layers inside `net`; `names` are patterns of their paths, or None."""

    def __init__(self, net, function, names=None):
        self.net, self.function, self.names = net, function, names

    def layers(self):
        """{path: layer} of those that it looks at, now."""
        return chosen(self.net, self.names)


def fitting(net, pattern):
    """{path: layer} of the layers of a net whose path fits a pattern, as for files; ValueError where none does."""
    there = dict(net.named_layers())
    found = {path: layer for path, layer in there.items() if fnmatch.fnmatchcase(path, pattern)}
    if not found:
        paths = [path for path in there if path]
        more = " ..." if len(paths) > _SHOWN else ""
        raise ValueError(f"{net.label}: no layer's path fits the pattern {arguments.shown(pattern)}; there are "
                         f"{', '.join(paths[:_SHOWN])}{more}" if paths else f"{net.label}: there are no layers inside, "
                         f"got the pattern {arguments.shown(pattern)}")
    return found


def chosen(net, names):
    """{path: layer} of the layers of a net that fit any of some patterns; without patterns of all that hold no others.
    TypeError for what is no pattern, ValueError for one that no path fits."""
    if names is None:
        return {path: layer for path, layer in net.named_layers() if not layer.composed}
    patterns = [names] if isinstance(names, str) else arguments.listed(
        names, f"{net.label}: names", 'paths of layers, such as "features.3", or patterns of them')
    found = {}
    for pattern in patterns:
        found.update(fitting(net, arguments.text(pattern, f"{net.label}: a path in names")))
    return {path: layer for path, layer in net.named_layers() if path in found}


def told(net):
    """A function (path, what, tree) to be called for what the layers of this outermost net give, whose paths begin with
    its name; None where nobody watches any of them."""
    paths, wanted = {id(layer): path for path, layer in net.named_layers(net.name)}, []
    for one in here.watches:
        names = {paths[id(layer)]: name for name, layer in one.layers().items() if id(layer) in paths}
        if names:
            wanted.append((names, one.function))

    def tell_all(path, what, tree):
        for names, function in wanted:
            if path in names:
                call(function, names[path], what, tree)

    return tell_all if wanted else None


def tell(layer, what, tree):
    """Tell what a layer has given that runs by itself: under a debugger, say."""
    for one in here.watches:
        for name, watched in one.layers().items():
            if watched is layer:
                call(one.function, name, what, tree)


def call(function, name, what, tree):
    """Have a hook look at what a layer gave."""
    with unwatched():   # what it runs itself is not told
        function(name, what, trees.map(_shut, tree))


def _shut(array):
    """The array, to be looked at only: it may be what a backward pass needs, or share memory with the user's own."""
    if array is not None:
        array = array.view()
        array.flags.writeable = False
    return array


@contextlib.contextmanager
def unwatched():
    """Within the `with` block nothing is told."""
    before, here.watches = here.watches, ()
    try:
        yield
    finally:
        here.watches = before


@contextlib.contextmanager
def watched(one):
    """Within the `with` block a `Watch` of this thread is at work."""
    before, here.watches = here.watches, (*here.watches, one)
    try:
        yield
    finally:
        here.watches = before
