"""Weights as files."""
import zipfile

import numpy as np
import pytest

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


