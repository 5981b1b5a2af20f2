"""Damaged and hostile files of every format that is read: the documented errors, soon, and little memory."""
import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from hashlib import blake2b

import numpy as np
import pytest

import fastnet
from fastnet import data
from fastnet.files import arrays, checkpoints, pytorch, tensors

from .damage import check_damaged, most_memory
from .test_pytorch import NUMBERS, archive, tensor

RNG = np.random.default_rng(0)


def net():
    return fastnet.Sequential(fastnet.Conv2d(1, 2, 3), fastnet.BatchNorm2d(2), fastnet.Flatten(), fastnet.Linear(8, 3))


def load_weights(path):
    fastnet.load_weights(net(), path)


def written(write, folder, name="original"):
    """The bytes of what ``write(path)`` writes."""
    write(folder / name)
    return (folder / name).read_bytes()


def npz(folder):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **net().state_dict())
    return [written(lambda path: fastnet.save_weights(net(), path), folder), buffer.getvalue()]


def safetensors(folder):
    more = {"x": np.zeros((2, 3), np.float16), "y": np.arange(3, dtype=np.int8)}
    return [written(lambda path: fastnet.save_weights(net(), path), folder, "original.safetensors"),
            tensors.packed(more, {"a": "b"})]


def torch_files(folder):
    state = pickle.dumps({"a": 1, "b": [1.5, "x"], "c": ({}, None)}, 2)
    return [archive(folder / "original.pt", pickled, [NUMBERS]).read_bytes()
            for pickled in (tensor(), state, tensor((3, 2), (1, 3)))]


def pickles(folder):
    return [tensor(), pickle.dumps({"a": 1, "b": [1.5, "x"], "c": ({}, None)}, 4)]


def models(folder):
    def write(path):
        fastnet.save_model(net(), path, data.Normalize([0.5], [2.0]), ["cat", "dog", "duck"])
    return [written(write, folder)]


def descriptions(folder):
    return [tensors.read(io_file(folder, models(folder)[0]))[1]["fastnet.net"].encode()]


def io_file(folder, content):
    (folder / "content").write_bytes(content)
    return folder / "content"


def states(folder):
    state = {"net": net().state_dict(), "step": 2**70, "t": (1, [None, True, "x"]), "$": {"$": 0.5}, "l": [1.5] * 40,
             "s": np.float32(1)}
    return [written(lambda path: checkpoints.write(path, state), folder)]


def cifar(folder):
    return [gzip.compress(tar, 1) for tar in tars(folder)]


def tars(folder):
    binary, python, version = io.BytesIO(), io.BytesIO(), data.cifar10.__globals__["VERSION"]
    for file, names in ((binary, version.binary), (python, version.pickled)):
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name in names:
                pixels = RNG.integers(0, 256, (1, 3072), np.uint8)
                content = b"\1" + pixels.tobytes() if file is binary else pickle.dumps(
                    {b"data": pixels, b"labels": [1]}, 2)
                member = tarfile.TarInfo(f"cifar/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return [binary.getvalue(), python.getvalue()]


def sealed(path):
    """Writes a checkpoint whose digest fits, so that what is behind it is tried."""
    return lambda content: path.write_bytes(content[:-32] + blake2b(content[:-32], digest_size=32).digest())


def in_archive(path):
    return lambda content: archive(path, content, [NUMBERS])


def as_description(path):
    state = net().state_dict()
    return lambda content: path.write_bytes(tensors.packed(state, {"fastnet.net": content.decode("latin1")}))


def zipped(path):
    return lambda content: path.write_bytes(gzip.compress(content, 0))


def as_it_is(path):
    return path.write_bytes


# For each format: the suffix, whole files, who reads them, how damaged ones are written, and the errors.
FORMATS = {
    "npz": (".npz", npz, load_weights, as_it_is, (ValueError,)),
    "safetensors": (".safetensors", safetensors, load_weights, as_it_is, (ValueError,)),
    "torch": (".pt", torch_files, pytorch.read, as_it_is, (ValueError,)),
    "pickles in torch": (".pt", pickles, pytorch.read, in_archive, (ValueError,)),
    "weights of any kind": ("", lambda folder: npz(folder) + safetensors(folder) + torch_files(folder), load_weights,
                             as_it_is, (ValueError,)),
    "models": (".safetensors", models, fastnet.load_model, as_it_is, (ValueError,)),
    "descriptions in models": (".safetensors", descriptions, fastnet.load_model, as_description, (ValueError,)),
    "checkpoints": ("", states, checkpoints.read, as_it_is, (fastnet.CheckpointError,)),
    "sealed checkpoints": ("", states, checkpoints.read, sealed, (fastnet.CheckpointError,)),
    "cifar": (".tar.gz", cifar, data.cifar10, as_it_is, (ValueError, FileNotFoundError)),
    "tar of cifar": (".tar.gz", tars, data.cifar10, zipped, (ValueError, FileNotFoundError)),
}


# Those that come behind a checksum or by another door, so that fewer will do.
FEWER = "weights of any kind", "pickles in torch", "descriptions in models", "sealed checkpoints", "tar of cifar"


def tiers(name):
    """Some files, and fifty thousand."""
    some = 100 if name in FEWER else 500
    yield pytest.param(name, range(some), id=name)
    yield pytest.param(name, range(some, 50_000), id=f"many {name}", marks=pytest.mark.slow)


@pytest.mark.parametrize("name, seeds", [case for name in FORMATS for case in tiers(name)])
def test_damaged_files_are_read_or_refused(tmp_path, name, seeds):
    suffix, make, read, way, errors = FORMATS[name]
    originals = make(tmp_path)
    path = tmp_path / f"damaged{suffix}"
    for original in originals:
        way(path)(original)
        try:
            read(path)      # whole ones can be read, but for a state that is not of this net
        except ValueError as error:
            assert "nothing was loaded" in str(error) or "no state dict" in str(error) or "arrays by name" in str(error)
    check_damaged(read, path, originals, seeds, way(path), errors)


# What would take much more memory than it is long

def header(text):
    return struct.pack("<Q", len(text)) + text


def of_entries(count, compression=zipfile.ZIP_STORED, size=0, name=""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for i in range(count):
            file.writestr(f"{name}{i}.npy", bytes(size))
    return buffer.getvalue()


def lying_bomb():
    content = bytearray(of_entries(1, zipfile.ZIP_DEFLATED, 100 << 20))
    place = content.rindex(b"PK\1\2") + 24
    content[place: place + 4] = struct.pack("<I", 1000)
    return bytes(content)


def npy(shape):
    """An array that says it has this shape, and has one number."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.npy", buffer.getvalue() + bytes(4))
    return packed.getvalue()


def model(layer, classes=None):
    metadata = {"fastnet.net": json.dumps({"net": layer, "dtype": "float32", "frozen": [], "fixed": []})}
    if classes is not None:
        metadata["fastnet.classes"] = classes
    return tensors.packed({"weight": np.zeros(3, np.float32)}, metadata)


def layer(kind, **given):
    return {"layer": kind, "arguments": given}


def nested(depth):
    found = layer("ReLU")
    for _ in range(depth):
        found = layer("Recompute", layer=found)
    return found


LONG = 2 << 20
RECURRENT = {"input_size": 30_000, "hidden_size": 2, "num_layers": 1000, "bias": True, "batch_first": False,
             "dropout": 0, "bidirectional": True, "returns": "all"}
NORM = {"momentum": 0.1, "affine": True, "track_running_stats": True, "bias": True, "eps": 1e-5}
HOSTILE = {
    "tensors": (tensors.read, header(b"{" + b",".join(
        b'"%x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(LONG // 60)) + b"}")),
    "dictionaries": (tensors.read, header(b'{"x":[' + b'{"":1},' * (LONG // 7 - 10) + b"1]}")),
    "nested": (tensors.read, header(b"[" * LONG)),
    "long header": (tensors.read, header(b" " * (3 << 20) + b"{}")),
    "header beyond the end": (tensors.read, struct.pack("<Q", 2**63) + b"{}"),
    "entries": (arrays.read, lambda: of_entries(20_000)),
    "entries of torch": (pytorch.read, lambda: of_entries(20_000)),
    "more entries": (arrays.read, lambda: of_entries(100, name="x" * 60_000)),
    "bomb": (arrays.read, lambda: of_entries(1, zipfile.ZIP_DEFLATED, 100 << 20)),
    "lying bomb": (arrays.read, lying_bomb),
    "lzma bomb": (arrays.read, lambda: of_entries(1, zipfile.ZIP_LZMA, 33 << 20)),
    "huge array": (arrays.read, npy((1 << 33,))), "negative array": (arrays.read, npy((-1, -1))),
    "huge weights": (fastnet.load_model, model(layer("Linear", in_features=30_000, out_features=30_000, bias=True))),
    "many states": (fastnet.load_model, model(layer("LSTM", proj_size=0, **RECURRENT))),
    "huge norm": (fastnet.load_model, model(layer("BatchNorm2d", num_features=2**31 - 1, **NORM))),
    "huge slopes": (fastnet.load_model, model(layer("PReLU", num_parameters=2**31 - 1, init=0.25))),
    "huge scale": (fastnet.load_model, model(layer("LayerScale", dim=2**31 - 1, init=0.25))),
    "many layers": (fastnet.load_model, model(layer("Sequential", layers=[
        {"dict": {str(i): layer("ReLU") for i in range(10_000)}}]))),
    "deep layers": (fastnet.load_model, model(nested(300))),
    "code": (fastnet.load_model, model(layer("eval", source="1"))),
    "base class": (fastnet.load_model, model(layer("Layer"))), "no layer": (fastnet.load_model, model(3)),
    "own class": (fastnet.load_model, model({"own": "Net", "arguments": {}})),
    "other arguments": (fastnet.load_model, model(layer("ReLU", slope=1))),
    "classes": (fastnet.load_model, model(layer("PReLU", num_parameters=3, init=0.2), "[" + "[]," * 600_000 + "1]")),
    "circle": (fastnet.load_model, model(layer("Graph", nodes={"dict": {
        str(i): [layer("ReLU"), str(i + 1)] for i in range(1000)}}, inputs="x", outputs="0"))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_little(tmp_path, name):
    read, content = HOSTILE[name]
    content = content if isinstance(content, bytes) else content()
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    before = most_memory(anew=True)
    try:
        read(path)
        assert name in ("tensors", "entries")
    except ValueError as error:
        assert str(path) in str(error) and len(str(error)) < 1000
    assert most_memory() - before < 4 * len(content) + (64 << 20)
