"""The small rules about axes: which there are, in which order, and what meets what along them; see `checks`."""
from fastnet import arguments
from fastnet.kernels import checks

_MOST = 64      # axes that an array of NumPy has at most


def concat_shape(shapes, dim=1):
    """The shape of arrays joined along an axis: all other axes must agree."""
    if not shapes:
        raise ValueError("concat needs at least one array, got none")
    first = shapes[0]
    for shape in shapes:
        checks.not_empty(shape)
        place = axis(dim, shape)
        if shape[:place] + shape[place + 1:] != first[:place] + first[place + 1:]:
            raise ValueError(f"concat needs shapes that differ in axis {place} only, got {tuple(first)} and "
                             f"{tuple(shape)}")
    return (*first[:place], sum(shape[place] for shape in shapes), *first[place + 1:])


def split_sizes(x_shape, sizes, dim=1):
    """The sizes as a tuple of positive integers that add up to the length of an axis."""
    checks.not_empty(x_shape)
    dim = axis(dim, x_shape)
    count = len(sizes) if isinstance(sizes, (tuple, list)) else None
    checked = arguments.integers(sizes, "sizes", count, 1, None if count else "integers of at least 1")
    if sum(checked) != x_shape[dim]:
        raise ValueError(f"sizes {checked} add up to {sum(checked)}, but axis {dim} of x of shape {tuple(x_shape)} "
                         f"has length {x_shape[dim]}")
    return checked


def given(dim, what="dim"):
    """The number of an axis, as it is given before any shape is known."""
    return arguments.integer(dim, what, -_MOST, _MOST - 1)


def several_given(dims, what="dims"):
    """The numbers of different axes, a tuple or list of them, likewise, as a tuple."""
    if not isinstance(dims, (tuple, list)) or len(dims) > _MOST:
        raise (ValueError if isinstance(dims, (tuple, list)) else TypeError)(
            f"{what} must be a tuple of axes, got {arguments.shown(dims)}")
    found = tuple([given(dim, what) for dim in dims])
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{what} must be axes, each once, got {arguments.shown(dims)}")
    return found


def axis(dim, shape, name="x", what="dim"):
    """Number `dim` of the axes of a shape, counted from the end where it is negative, as an integer from 0."""
    arguments.integer(dim, what)
    if not -len(shape) <= dim < len(shape):
        if not shape:
            raise ValueError(f"expected {name} with axes, got {name} of shape ()")
        raise ValueError(f"{what} must be from {-len(shape)} to {len(shape) - 1} for {name} of shape {tuple(shape)}, "
                         f"got {dim}")
    return int(dim) % len(shape)


def axes(dims, shape, name="x"):
    """Several different axes, as a tuple of integers from 0, in the order in which they were given."""
    found = tuple([axis(dim, shape, name, "dims") for dim in several_given(dims)])
    if len(set(found)) < len(found):
        raise ValueError(f"dims must be axes, each once, got {tuple(dims)} for {name} of shape {tuple(shape)}")
    return found


def permutation(dims, shape):
    """All axes of a shape, each once, as a tuple of integers from 0."""
    found = axes(dims, shape)
    if len(found) != len(shape):
        raise ValueError(f"dims must name each of the {len(shape)} axes of x of shape {tuple(shape)} once, got {found}")
    return found


def without(shape, dims):
    """The shape with length 1 in these axes."""
    dims = axes(dims, shape)
    return tuple(1 if place in dims else length for place, length in enumerate(shape))


def broadcasts(shape, whole):
    """Refuse a shape that does not meet a whole one, axis by axis, in the same length or in 1."""
    if len(shape) != len(whole) or any(length not in (1, full) for length, full in zip(shape, whole, strict=True)):
        raise ValueError(f"expected b of shape {tuple(whole)}, or with 1 in place of some of these lengths, got b of "
                         f"shape {tuple(shape)}")


def slopes(w_shape, x_shape):
    """Refuse what is neither one number nor one for each place of axis 1."""
    one_each = x_shape[1:2]
    if len(w_shape) != 1 or w_shape not in ((1,), one_each):
        raise ValueError(f"expected w of shape (1,){f' or {one_each}' if one_each not in ((), (1,)) else ''} for x of "
                         f"shape {tuple(x_shape)}, got w of shape {tuple(w_shape)}")


def shuffled(shape, groups):
    """Refuse a number of groups that does not divide axis 1."""
    if len(shape) < 2:
        raise ValueError(f"expected x with channels along axis 1, got x of shape {tuple(shape)}")
    if shape[1] % arguments.integer(groups, "groups", 1):
        raise ValueError(f"{groups} groups do not divide the {shape[1]} channels of x of shape {tuple(shape)}")
