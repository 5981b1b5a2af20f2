"""What layers take and give: one array, or a tuple or dict of arrays, here called a tree. Its leaves may as well be
Values, shapes or gradients. NamedTuples are leaves."""
from fastnet import arguments
from fastnet.kernels.shapes import Kind

_DEEPEST = 30   # trees within trees that are taken


def is_leaf(tree):
    """Whether it is no tuple or dict of others."""
    return not isinstance(tree, (tuple, dict)) or hasattr(tree, "_fields")


def flat(tree):
    """The leaves of a tree, a list."""
    if is_leaf(tree):
        return [tree]
    return [leaf for part in _parts(tree) for leaf in flat(part)]


def build(form, leaves):
    """The tree of that form with other leaves: an iterable of them."""
    return _build(form, iter(leaves))


def _build(form, leaves):
    if isinstance(form, dict):
        return {name: _build(part, leaves) for name, part in form.items()}
    return next(leaves) if is_leaf(form) else tuple(_build(part, leaves) for part in form)


def map(function, tree):
    """The tree with ``function(leaf)`` in place of each leaf."""
    return function(tree) if is_leaf(tree) else build(tree, [function(leaf) for leaf in flat(tree)])


def form(tree):
    """The tree with None for each leaf."""
    return map(lambda leaf: None, tree)


def is_nested(tree):
    """Whether there are trees in it."""
    return not is_leaf(tree) and not all([is_leaf(part) for part in _parts(tree)])


def told(tree):
    """Its outermost form in words."""
    return "one array" if is_leaf(tree) else f"a {'dictionary' if isinstance(tree, dict) else 'tuple'} of {len(tree)}"


def written(tree):
    """Its form as it would be written: (array, (array, array))."""
    if is_leaf(tree):
        return "array"
    if isinstance(tree, dict):
        return "{" + ", ".join([f"{name!r}: {written(part)}" for name, part in tree.items()]) + "}"
    return f"({', '.join([written(part) for part in tree])}{',' * (len(tree) == 1)})"


def _parts(tree):
    return tree.values() if isinstance(tree, dict) else tree


def check(tree, name):
    """ValueError for a tree without leaves, and for one that holds itself."""
    pending = [(tree, 0)]
    while pending:
        one, depth = pending.pop()
        if not is_leaf(one):
            if not one or depth > _DEEPEST:
                what = f"at least one array, got an empty {'dictionary' if isinstance(one, dict) else 'tuple'}"
                raise ValueError(f"{name} must hold {'no trees so deep' if one else what}")
            pending += [(part, depth + 1) for part in _parts(one)]


def kinds(tree):
    """The tree with the shape and dtype of each array, or Value, in its place."""
    return map(lambda one: Kind(tuple(one.shape), one.dtype), tree)


def shapes(tree, name="shape"):
    """The leaves of a tree of shapes, which are tuples of integers themselves, and its form: (list, form). TypeError or
    ValueError for what is none, under that name."""
    if isinstance(tree, dict) and not tree:
        raise ValueError(f"{name} must be a shape or hold at least one, got an empty dictionary")
    if name.count("[") > _DEEPEST:
        raise ValueError(f"{name.partition('[')[0]} holds itself, or shapes too deep")
    if isinstance(tree, dict):
        found = {key: shapes(part, f"{name}[{key!r}]") for key, part in tree.items()}
        forms = {key: form for key, (_, form) in found.items()}
        return [shape for some, _ in found.values() for shape in some], forms
    if isinstance(tree, (tuple, list)) and tree and isinstance(tree[0], (tuple, list, dict)):
        found = [shapes(part, f"{name}[{i}]") for i, part in enumerate(tree)]
        return [shape for some, _ in found for shape in some], tuple(form for _, form in found)
    return [arguments.shape(tree, name)], None
