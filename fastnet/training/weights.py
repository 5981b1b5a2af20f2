"""A net's weights as a file, in one of three formats; none of them runs code."""
import os
import zipfile

import numpy as np

from fastnet import arguments, writing
from fastnet.files import archives, arrays, pytorch, tensors

# Suffixes of files that PyTorch writes, and names under which people keep a net's weights in them.
_PYTORCH = (".pt", ".pth", ".bin", ".ckpt")
_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
# What wrappers of PyTorch put in front of all names: data-parallel nets, and compiled ones.
_WRAPPERS = ("module.", "_orig_mod.")


def save_weights(net, path):
    """Write ``net.state_dict()`` to `path`, all or nothing: an old file is replaced once the new one is whole.

    A path that ends with .safetensors gets that format, which PyTorch reads with ``safetensors.torch.load_file``; any
    other gets NumPy's .npz. A symbolic link is followed, and an old file's permissions are kept. FileNotFoundError
    without the folder, any OSError where the system fails, ValueError for a suffix of PyTorch's own files, which only
    PyTorch writes, and for a name of a parameter that no file can hold.

    >>> import tempfile
    >>> path, net = tempfile.mkdtemp() + "/net.safetensors", fastnet.Linear(2, 3)
    >>> save_weights(net, path)
    >>> load_weights(fastnet.Linear(2, 3), path)
    Loaded(missing_keys=[], unexpected_keys=[])
    """
    arguments.having(net, ("state_dict",), "save_weights: net", "a layer")
    path = arguments.path(path, "save_weights: path")
    if path.lower().endswith(_PYTORCH):
        raise ValueError(f"save_weights: {path} would be a file of PyTorch's own; write .safetensors, which PyTorch "
                         "reads too: net.load_state_dict(safetensors.torch.load_file(path))")
    save_state(net.state_dict(), path, "save_weights")


def save_state(state, path, who):
    """Write a dictionary of arrays as `save_weights` does; `who` begins what errors say."""
    entries = {_checked(name, who): np.asarray(value) for name, value in state.items()}
    if path.lower().endswith(".safetensors"):
        data = tensors.packed(entries)
        with writing.whole(path, who) as file:
            file.write(data)
        return
    with writing.whole(path, who) as file:
        arrays.write(file, entries)


def load_weights(net, path, strict=True, rename=None, key=None):
    """Read a file of weights into `net`. Where anything does not fit, nothing changes.

    The file is what `save_weights` wrote, a .safetensors file, or what ``torch.save`` wrote of a state dict (.pt, .pth,
    .bin, .ckpt), which is read without PyTorch and without running what it may ask for. float16 and bfloat16 numbers
    become float32, once and exactly. Where all names begin with "module." or "_orig_mod.", as those of wrapped nets
    do, that is left out.

    strict : with False names that are missing or unexpected are passed over. Returns both, (missing_keys,
        unexpected_keys).
    rename : a function from a name in the file to the name in the net, or None to leave it out; or a table of such
        pairs, in which what ends with a point stands for all names that begin with it: {"backbone.": ""}.
    key : the entry of a file of PyTorch's in which the state dict lies; not needed where it is called state_dict,
        model_state_dict, model, net, network or weights, or is all that there is.

    FileNotFoundError without that file; ValueError, naming the file, where it is none of these formats, is damaged,
    and, in one list, for what is missing, unexpected, or of another shape.

    >>> import tempfile
    >>> path, net = tempfile.mkdtemp() + "/net.npz", fastnet.Linear(2, 3)
    >>> save_weights(net, path)
    >>> other = fastnet.Sequential(fastnet.Linear(2, 3))
    >>> load_weights(other, path, rename=lambda name: "0." + name)
    Loaded(missing_keys=[], unexpected_keys=[])
    >>> np.array_equal(other[0].weight.value, net.weight.value)
    True
    """
    who = "load_weights"
    arguments.having(net, ("load_state_dict",), f"{who}: net", "a layer")
    path = arguments.path(path, f"{who}: path")
    strict = arguments.flag(strict, f"{who}: strict")
    new_name = _renaming(rename, f"{who}: rename")
    if key is not None:
        arguments.text(key, f"{who}: key")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{who}: {path} is a folder; give the name of a file")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{who}: {path}: no such file; save_weights(net, path) writes one")
    try:
        state = _renamed(_read(path, key), new_name, path)
        return net.load_state_dict(state) if strict else net.load_state_dict(state, strict=False)
    except (KeyError, TypeError, ValueError) as error:
        text = str(error.args[0] if error.args else error)
        raise ValueError(f"{who}: {text}" if text.startswith(path) else f"{who}: {path}: {text}") from error


def _read(path, key):
    """{name: array} of a file in whichever format: its suffix says it, or else its first bytes and what is in it."""
    lower = path.lower()
    if lower.endswith(_PYTORCH) or not lower.endswith((".npz", ".safetensors")) and _of_pytorch(path):
        return _state(pytorch.read(path), key, path)
    if key is not None:
        raise ValueError(f"{path}: key={key!r} is for files of PyTorch's, which hold more than one thing")
    if lower.endswith(".safetensors") or not lower.endswith(".npz") and not zipfile.is_zipfile(path) \
            and _of_safetensors(path):
        return tensors.read(path)[0]
    return arrays.read(path)


def _of_pytorch(path):
    try:
        with archives.opened(path) as (archive, _):
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return False


def _of_safetensors(path):
    """Whether a file begins with the length of a header, and a header."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def _state(value, key, path):
    """The state dict in what torch.save wrote."""
    if key is not None:
        if not isinstance(value, dict) or key not in value:
            raise ValueError(f"{path}: there is no {key!r} in it{_listed(value)}")
        value = value[key]
    elif not _is_state(value) and isinstance(value, dict):
        found = [name for name in _USUAL if _is_state(value.get(name))]
        if len(found) != 1:
            raise ValueError(f"{path}: it holds no state dict, or more than one{_listed(value)}: say which by key=...")
        value = value[found[0]]
    if not _is_state(value):
        raise ValueError(f"{path}: expected arrays by name{_listed(value)}")
    return value


def _is_state(value):
    return isinstance(value, dict) and bool(value) and all(
        isinstance(name, str) and isinstance(array, np.ndarray) for name, array in value.items())


def _listed(value):
    if not isinstance(value, dict):
        return f", but {arguments.shown(value)}"
    names = [arguments.shown(name) for name in value]
    return f", but {', '.join(names[:8])}" + f" and {len(names) - 8} more" * (len(names) > 8)


def _renaming(rename, name):
    """The function that `rename` is or stands for."""
    if rename is None:
        return lambda one: one
    if not isinstance(rename, dict):
        return arguments.function(rename, name, "a function of a name, or a table {name in the file: name in the net}")
    for old, new in rename.items():
        if not isinstance(old, str) or not (new is None or isinstance(new, str)):
            raise TypeError(f"{name} must be a table of names, got {arguments.shown(old)}: {arguments.shown(new)}")
    beginnings = sorted((old for old in rename if old.endswith(".")), key=len, reverse=True)

    def renamed(one):
        if one in rename:
            return rename[one]
        for old in beginnings:
            if one.startswith(old):
                return None if rename[old] is None else rename[old] + one[len(old):]
        return one

    return renamed


def _renamed(state, new_name, path):
    """The arrays under the names that they have in the net."""
    for wrapper in _WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            state = {name[len(wrapper):]: array for name, array in state.items()}
    found = {}
    for name, array in state.items():
        new = new_name(name)
        if new is None:
            continue
        if not isinstance(new, str) or new in found:
            raise ValueError(f"{path}: rename makes {arguments.shown(new)} of {name!r}, which is "
                             + ("no name" if not isinstance(new, str) else "the name of another array, too"))
        found[new] = array
    return found


def _checked(name, who):
    """What a parameter is called in the file: ValueError where that cannot be."""
    try:
        name.encode()
    except (AttributeError, UnicodeEncodeError):
        name = "\0"
    if "\0" in name:
        raise ValueError(f"{who}: net has a parameter whose name no file can hold: it must be a string without "
                         "null characters")
    return name
