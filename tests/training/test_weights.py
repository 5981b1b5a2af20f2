"""Weights as files."""
import zipfile

import numpy as np
import pytest

import fastnet
from fastnet.files import tensors
from fastnet.training import load_weights, save_weights

from . import small


def test_round_trip(tmp_path):
    path = tmp_path / "weights.npz"
    first, second = small.net(seed=1), small.net(seed=2)
    small.trainer(first).fit(small.batches(), 1)
    save_weights(first, path)
    load_weights(second, path)
    a, b = first.state_dict(), second.state_dict()
    assert a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
    x = small.batches()[0][0]
    np.testing.assert_array_equal(first(x), second(x))
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == set(a)


def test_a_name_without_npz_is_kept(tmp_path):
    save_weights(small.net(), str(tmp_path / "weights"))
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights.npz"
    net = small.net()
    save_weights(net, path)
    before = path.read_bytes()

    class Broken:
        def state_dict(self):
            def fail():
                raise OSError("disk full")
            return {"0.weight": np.zeros(3), "1.weight": type("Array", (), {"__array__": lambda *_, **__: fail()})()}

    with pytest.raises(OSError, match="disk full"):
        save_weights(Broken(), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def write(path, kind):
    state = small.net().state_dict()
    if kind == "missing key":
        del state["3.bias"]
    elif kind == "unexpected key":
        state["9.weight"] = np.zeros(1)
    elif kind == "shape":
        state["3.bias"] = np.zeros(9)
    elif kind == "pickle":
        state["3.bias"] = np.array([{}], object)
    if kind == "text":
        path.write_text("no weights")
    elif kind == "npy":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "other zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("readme.txt", "no weights")
    elif kind != "no file":
        np.savez(path, **state)
        data = path.read_bytes()
        if kind == "cut":
            path.write_bytes(data[:len(data) // 2])
        elif kind == "flipped":
            path.write_bytes(data[:1000] + bytes([data[1000] ^ 255]) + data[1001:])


@pytest.mark.parametrize("kind, message", [
    ("no file", "no such file"), ("text", "not an .npz file"), ("npy", "not an .npz file"), ("cut", "not an .npz file"),
    ("flipped", "damaged, or not plain arrays"), ("pickle", "damaged, or not plain arrays"),
    ("other zip", "unexpected readme.txt"), ("missing key", "missing 3.bias"),
    ("unexpected key", "unexpected 9.weight"), ("shape", r"3.bias has shape \(9,\), expected \(8,\)"),
])
def test_files_that_do_not_fit_change_nothing(tmp_path, kind, message):
    path = tmp_path / "some.npz"
    write(path, kind)
    net = small.net(seed=4)
    before = net.state_dict()
    with pytest.raises(FileNotFoundError if kind == "no file" else ValueError, match=rf"some\.npz: .*{message}"):
        load_weights(net, path)
    assert all(np.array_equal(value, before[key]) for key, value in net.state_dict().items())




def state(net):
    return {name: value.copy() for name, value in net.state_dict().items()}


def assert_equal_states(a, b):
    assert a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".SAFETENSORS", ""])
def test_formats(tmp_path, suffix):
    first, second = small.net(seed=1), small.net(seed=2)
    path = tmp_path / f"weights{suffix}"
    save_weights(first, path)
    assert load_weights(second, path) == ([], [])
    assert_equal_states(state(first), state(second))
    assert (path.read_bytes()[:2] == b"PK") == (suffix.lower() != ".safetensors")
    moved = tmp_path / "moved"      # what a file is can be seen in it
    path.rename(moved)
    third = small.net(seed=3)
    load_weights(third, moved)
    assert_equal_states(state(first), state(third))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_files_of_pytorch_are_not_written(tmp_path, suffix):
    with pytest.raises(ValueError, match="write .safetensors, which PyTorch reads too"):
        save_weights(small.net(), tmp_path / f"weights{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04", b"\x08\0\0\0\0\0\0\0{"])
def test_what_is_none_of_the_formats(tmp_path, suffix, content):
    for path in (tmp_path / f"weights{suffix}", tmp_path / "weights"):
        path.write_bytes(content)
        net = small.net()
        before = state(net)
        with pytest.raises(ValueError) as error:
            load_weights(net, path)
        assert str(error.value).startswith(f"load_weights: {path}: ")
        assert_equal_states(before, state(net))


def saved(tmp_path, renamed, **more):
    """A file with the weights of a net under other names."""
    path = tmp_path / "other.safetensors"
    net = small.net(seed=1)
    path.write_bytes(tensors.packed({renamed(name): value for name, value in state(net).items()} | more))
    return net, path


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_wrappers_of_pytorch_are_left_out(tmp_path, wrapper):
    net, path = saved(tmp_path, lambda name: wrapper + name)
    other = small.net(seed=2)
    if wrapper.count(".") == 1:
        load_weights(other, path)
        assert_equal_states(state(net), state(other))
    else:   # in the order in which they are put on: a compiled data-parallel net
        with pytest.raises(ValueError, match="unexpected"):
            load_weights(other, path)


@pytest.mark.parametrize("rename", [
    lambda name: None if name == "extra" else name.removeprefix("backbone."),
    {"backbone.": "", "extra": None},
    {"backbone.": "", "backbone.0.weight": "0.weight", "extra": None},
])
def test_names_are_changed_by_a_function_or_a_table(tmp_path, rename):
    net, path = saved(tmp_path, lambda name: "backbone." + name, extra=np.zeros(2))
    other = small.net(seed=2)
    load_weights(other, path, rename=rename)
    assert_equal_states(state(net), state(other))


@pytest.mark.parametrize("rename, kind, text", [
    (3, TypeError, "load_weights: rename must be a function of a name, or a table"),
    ({1: "a"}, TypeError, "load_weights: rename must be a table of names, got 1: 'a'"),
    (lambda name: "a", ValueError, "the name of another array, too"),
    (lambda name: 3, ValueError, "which is no name"),
])
def test_what_no_name_is_made_of(tmp_path, rename, kind, text):
    net, path = saved(tmp_path, lambda name: name)
    before = state(net)
    with pytest.raises(kind) as error:
        load_weights(net, path, rename=rename)
    assert text in str(error.value)
    assert_equal_states(before, state(net))


def test_not_strict(tmp_path):
    net, path = saved(tmp_path, lambda name: "other" if name == "3.bias" else name)
    other = small.net(seed=2)
    with pytest.raises(ValueError, match="3.bias"):
        load_weights(other, path)
    assert load_weights(other, path, strict=False) == (["3.bias"], ["other"])
    np.testing.assert_array_equal(other[0].weight.value, net[0].weight.value)


class TestWithPyTorch:
    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")
        self.net = self.torch.nn.Sequential(self.torch.nn.Conv2d(3, 4, 3), self.torch.nn.BatchNorm2d(4))
        for value in self.net.state_dict().values():
            if value.is_floating_point():
                value.normal_()

    def ours(self):
        return fastnet.Sequential(fastnet.Conv2d(3, 4, 3), fastnet.BatchNorm2d(4))

    def assert_equal(self, ours, dtype=None):
        for name, value in self.net.state_dict().items():
            wanted = value.to(dtype).float() if dtype and value.is_floating_point() else value
            np.testing.assert_array_equal(ours.state_dict()[name], wanted.numpy())

    @pytest.mark.parametrize("wrap", [
        lambda state: state, lambda state: {"state_dict": state, "epoch": 3}, lambda state: {"model": state, "lr": 0.1},
    ])
    def test_pt(self, tmp_path, wrap):
        self.torch.save(wrap(self.net.state_dict()), tmp_path / "a.pt")
        self.torch.save(wrap(self.net.state_dict()), tmp_path / "without suffix")
        for name in ("a.pt", "without suffix"):
            ours = self.ours()
            load_weights(ours, tmp_path / name)
            self.assert_equal(ours)

    def test_key(self, tmp_path):
        path = tmp_path / "a.pth"
        self.torch.save({"student": self.net.state_dict(), "teacher": self.net.state_dict()}, path)
        with pytest.raises(ValueError, match="but 'student', 'teacher': say which by key=..."):
            load_weights(self.ours(), path)
        with pytest.raises(ValueError, match="there is no 'nobody' in it, but 'student', 'teacher'"):
            load_weights(self.ours(), path, key="nobody")
        ours = self.ours()
        load_weights(ours, path, key="student")
        self.assert_equal(ours)
        with pytest.raises(ValueError, match="is for files of PyTorch's"):
            save_weights(ours, tmp_path / "a.npz")
            load_weights(ours, tmp_path / "a.npz", key="student")

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_half_numbers_become_float32(self, tmp_path, dtype):
        half = {name: value.to(getattr(self.torch, dtype)) if value.is_floating_point() else value
                for name, value in self.net.state_dict().items()}
        self.torch.save(half, tmp_path / "a.pt")
        library = pytest.importorskip("safetensors.torch")
        library.save_file(half, tmp_path / "a.safetensors")
        for name in ("a.pt", "a.safetensors"):
            ours = self.ours()
            load_weights(ours, tmp_path / name)
            assert ours.dtype == np.float32
            self.assert_equal(ours, getattr(self.torch, dtype))

    def test_pytorch_reads_what_was_written_here(self, tmp_path):
        library = pytest.importorskip("safetensors.torch")
        save_weights(self.ours(), tmp_path / "a.safetensors")
        self.net.load_state_dict(library.load_file(tmp_path / "a.safetensors"))
        ours = self.ours()
        load_weights(ours, tmp_path / "a.safetensors")
        self.assert_equal(ours)
