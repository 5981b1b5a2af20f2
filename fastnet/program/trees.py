"""What layers take and give: one array, or a tuple or dict of arrays, here called a tree. Its leaves may as well be
Values, shapes or gradients. NamedTuples are leaves."""


def is_leaf(tree):
    """Whether it is no tuple or dict of others."""
    return not isinstance(tree, (tuple, dict)) or hasattr(tree, "_fields")


def flat(tree):
    """The leaves of a tree, a list."""
    if is_leaf(tree):
        return [tree]
    return [leaf for part in (tree.values() if isinstance(tree, dict) else tree) for leaf in flat(part)]


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


def shapes(tree):
    """The leaves of a tree of shapes, which are tuples of integers themselves, and its form: (list, form)."""
    if isinstance(tree, dict):
        found = {name: shapes(part) for name, part in tree.items()}
        forms = {name: form for name, (_, form) in found.items()}
        return [shape for some, _ in found.values() for shape in some], forms
    if isinstance(tree, (tuple, list)) and tree and not hasattr(tree[0], "__index__"):
        found = [shapes(part) for part in tree]
        return [shape for some, _ in found for shape in some], tuple(form for _, form in found)
    return [tuple(tree)], None
