"""Files of torch.save are read without PyTorch, and none of them runs anything."""
import collections
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from fastnet.files import pytorch


def archive(path, pickled, storages=(), folder="net", compression=zipfile.ZIP_STORED, **more):
    """A file as torch.save writes it, of that pickle and the bytes of its storages."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(f"{folder}/data.pkl", pickled)
        for key, data in enumerate(storages):
            file.writestr(f"{folder}/data/{key}", data)
        for name, data in more.items():
            file.writestr(f"{folder}/{name}", data)
    return path


def tensor(shape=(2, 3), strides=(3, 1), offset=0, count=6, key="0", kind="FloatStorage"):
    """The pickle of one tensor, by hand: protocol 2, as torch.save writes it."""
    def number(value):
        return b"J" + struct.pack("<i", value)

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def sizes(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    return (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(("
            + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(count) + b"tQ"
            + number(offset) + sizes(shape) + sizes(strides) + b"\x89ccollections\nOrderedDict\n)RtR.")


NUMBERS = np.arange(6, dtype="<f4").tobytes()


def refused(path, *words):
    with pytest.raises(ValueError) as caught:
        pytorch.read(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and all(word in text for word in words), text
    assert len(text) < 500


def test_a_tensor_by_hand(tmp_path):
    path = archive(tmp_path / "a.pt", tensor(), [NUMBERS])
    np.testing.assert_array_equal(pytorch.read(path), [[0, 1, 2], [3, 4, 5]])
    turned = archive(tmp_path / "b.pt", tensor((3, 2), (1, 3)), [NUMBERS], byteorder=b"little")
    np.testing.assert_array_equal(pytorch.read(turned), [[0, 3], [1, 4], [2, 5]])
    part = archive(tmp_path / "c.pt", tensor((2,), (2,), offset=1), [NUMBERS])
    np.testing.assert_array_equal(pytorch.read(str(part).encode()), [1, 3])
    assert pytorch.read(archive(tmp_path / "d.pt", tensor((0, 3)), [NUMBERS])).shape == (0, 3)


@pytest.mark.parametrize("options", [
    {"shape": (2, 4)}, {"strides": (4, 1)}, {"offset": 1}, {"offset": -1}, {"shape": (-2, 3)}, {"strides": (-3, 1)},
    {"shape": (10**9,), "strides": (0,)}, {"shape": (6,)}, {"count": 5}, {"count": 7}, {"count": -1}, {"key": "1"},
    {"key": "../../x"},
], ids=str)
def test_no_tensor_reaches_beyond_its_storage(tmp_path, options):
    refused(archive(tmp_path / "a.pt", tensor(**options), [NUMBERS]))


def test_what_is_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        pytorch.read(tmp_path / "none.pt")
    with pytest.raises(TypeError, match="path must be a path"):
        pytorch.read(3)
    (tmp_path / "old.pt").write_bytes(pickle.dumps({"a": 1}))
    refused(tmp_path / "old.pt", "before 1.6")
    refused(archive(tmp_path / "a.pt", tensor(), [NUMBERS], compression=zipfile.ZIP_DEFLATED), "compressed")
    refused(archive(tmp_path / "b.pt", tensor(), [NUMBERS], byteorder=b"big"), "most significant byte first")
    refused(archive(tmp_path / "c.pt", tensor(), [NUMBERS], **{"code/x.py": b""}), "TorchScript")
    refused(archive(tmp_path / "d.pt", tensor(), [NUMBERS], folder="a/b"), "no data.pkl")
    refused(archive(tmp_path / "e.pt", tensor(kind="ComplexFloatStorage"), [NUMBERS]), "torch.ComplexFloatStorage")


class Spy:
    """Would tell if a file could run something."""

    called = []

    def __reduce__(self):
        return Spy.called.append, ("run",)


class Plain:
    def __init__(self):
        self.x = 1


REFUSED = [Spy(), [Spy()], {"x": Spy()}, Plain(), Plain, print, {1, 2}, 1j, b"x" * 300, 2**3000]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(tmp_path, value, protocol):
    """Whatever Python's pickle would call, or make of a class, is refused by its name."""
    path = archive(tmp_path / "a.pt", pickle.dumps(value, protocol))
    if isinstance(value, bytes) and protocol >= 3:  # plain bytes, which are text
        assert pytorch.read(path) == value
    else:
        refused(path)
    assert not Spy.called


def test_plain_values_come_as_they_are(tmp_path):
    value = {"epoch": 3, "lr": 0.5, "names": ["a", ("b", None)], 7: True, "empty": [{}, [], ()], "far": -10**15}
    for protocol in (2, 3, 4, 5):
        assert pytorch.read(archive(tmp_path / "a.pt", pickle.dumps(value, protocol))) == value
    ordered = collections.OrderedDict(a=1, b=2)
    assert pytorch.read(archive(tmp_path / "b.pt", pickle.dumps(ordered, 2))) == {"a": 1, "b": 2}


def test_a_long_program_and_a_bomb_are_refused(tmp_path):
    refused(archive(tmp_path / "a.pt", b"\x80\x02" + b"}" * 1_000_000 + b"."), "instructions")
    refused(archive(tmp_path / "b.pt", b"\x80\x02}" + b"r\xff\xff\xff\x7f"), "damaged")
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as file:
        file.writestr("net/data.pkl", tensor())
        file.writestr("net/data/0", NUMBERS)
    data = bytearray((tmp_path / "c.pt").read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24
    data[place: place + 4] = struct.pack("<I", 2**31 - 1)    # the size that the storage claims
    (tmp_path / "c.pt").write_bytes(data)
    refused(tmp_path / "c.pt", "overlap")


class TestWithPyTorch:
    """What PyTorch writes comes as it was."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")

    def saved(self, value, tmp_path):
        path = tmp_path / "saved.pt"
        self.torch.save(value, path)
        return pytorch.read(path)

    @pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8",
                                       "uint8", "bool"])
    def test_every_dtype(self, tmp_path, dtype):
        x = (self.torch.randn(3, 5) * 3).to(getattr(self.torch, dtype))
        got = self.saved({"x": x}, tmp_path)["x"]
        wanted = x.float() if dtype in ("float16", "bfloat16") else x
        np.testing.assert_array_equal(got, wanted.numpy())
        assert got.dtype == wanted.numpy().dtype

    def test_state_of_a_net_and_its_optimiser(self, tmp_path):
        nn = self.torch.nn
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
        optimizer = self.torch.optim.Adam(net.parameters())
        net(self.torch.randn(2, 3, 3, 3)).sum().backward()
        optimizer.step()
        got = self.saved({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 7}, tmp_path)
        assert got["epoch"] == 7 and got["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.999)
        assert list(got["net"]) == list(net.state_dict())
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(got["net"][name], value.numpy())
        moment = optimizer.state_dict()["state"][0]["exp_avg"].numpy()
        np.testing.assert_array_equal(got["optimizer"]["state"][0]["exp_avg"], moment)

    def test_views_parameters_and_shared_memory(self, tmp_path):
        x = self.torch.arange(24.0).reshape(4, 6)
        got = self.saved({"x": x, "turned": x.t(), "part": x[1:3, ::2], "parameter": self.torch.nn.Parameter(x),
                          "number": self.torch.tensor(5), "empty": self.torch.empty(0, 3)}, tmp_path)
        np.testing.assert_array_equal(got["turned"], x.t().numpy())
        np.testing.assert_array_equal(got["part"], x[1:3, ::2].numpy())
        np.testing.assert_array_equal(got["parameter"], x.numpy())
        assert got["number"].shape == () and got["number"] == 5 and got["empty"].shape == (0, 3)
        assert np.shares_memory(got["x"], got["part"])

    def test_a_whole_net_is_refused(self, tmp_path):
        path = tmp_path / "net.pt"
        self.torch.save(self.torch.nn.Linear(2, 2), path)
        refused(path, "torch.nn.modules.linear.Linear", "torch.save(net.state_dict(), path)")

    def test_files_of_before_1_6_are_refused(self, tmp_path):
        path = tmp_path / "old.pt"
        self.torch.save({"x": self.torch.ones(2)}, path, _use_new_zipfile_serialization=False)
        refused(path, "before 1.6")

    def test_a_file_given_as_a_buffer_is_the_same(self, tmp_path):
        buffer = io.BytesIO()
        self.torch.save({"x": self.torch.ones(2)}, buffer)
        path = tmp_path / "b.pt"
        path.write_bytes(buffer.getvalue())
        np.testing.assert_array_equal(pytorch.read(path)["x"], [1, 1])
