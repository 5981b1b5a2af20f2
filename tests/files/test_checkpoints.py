"""States as files: what was written is read, the folder keeps what it should, and hostile headers cost little."""
import json
import os
import struct
from hashlib import blake2b

import numpy as np
import pytest

import fastnet
from fastnet import CheckpointError, Checkpoints, arguments
from fastnet.files import checkpoints

from .damage import most_memory

DTYPES = [np.dtype(kind).newbyteorder(order) for kind in "?bhilBHILefdgFDG" for order in "<>"]
STATE = {
    "net": {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.zeros(0)},
    "optimizer": {"step": 7, "lr": 0.1, "betas": (0.9, 0.999), "state": [{"exp_avg": np.ones((2, 1))}, None]},
    "rng": np.random.default_rng(0).bit_generator.state, "curve": [0.5, float("nan")] * 40, "done": False,
}


def same(a, b):
    """Alike to the last bit and in the classes of all parts."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, dict):
        return [*a] == [*b] and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b) if isinstance(a, float) else a == b


def again(state, folder):
    checkpoints.write(folder / "state", state)
    return checkpoints.read(folder / "state")


@pytest.mark.parametrize("value", [
    STATE, None, True, 0, -1, 2**63, -2**63 - 1, 2**127 + 1, -2**20_000, 0.1, -0.0, 5e-324, 1.7976931348623157e308,
    float("inf"), float("-inf"), "", "\0", "ä\ud800\U0001f600", [], (), {}, [[]], ((), [()], {"": ()}), {"$array": 1},
    {"$dict": {"$dict": {"$": {}}}}, {"$list": 1, "b": 2}, [1.0] * 40, [1] * 40, [2**64] * 40, [1, 2.0] * 40,
    [True] * 40, [np.float64(1)] * 40, tuple([1.0] * 40), [float("nan")] * 40],
    ids=lambda value: arguments.shown(value)[:40])
def test_plain_values(tmp_path, value):
    assert same(again(value, tmp_path), value)
    assert same(again({"a": [value, {"b": (value, 1)}]}, tmp_path), {"a": [value, {"b": (value, 1)}]})


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_and_scalars(tmp_path, dtype):
    values = (np.random.default_rng(0).standard_normal((4, 3, 5)) * 50).astype(dtype)
    state = [values, values.T, values[::2, 1:], values[0, 0, 0], np.array(values[0, 0, 0]), values[:0], values[:, :0],
             values.reshape(1, 4, 1, 15)]
    got = again(state, tmp_path)
    assert same(got, state)
    for array in got:
        assert isinstance(array, np.generic) or array.flags.writeable and array.flags.owndata


def test_special_numbers_keep_their_bits(tmp_path):
    words = np.array([0x7fc00001, 0xff800000, 0x80000000, 1, 0x7f800001], np.uint32)
    assert np.array_equal(again(words.view(np.float32), tmp_path).view(np.uint32), words)


def test_a_generator_goes_on(tmp_path):
    for kind in (np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64):
        generator, other = np.random.Generator(kind(3)), np.random.Generator(kind(4))
        generator.standard_normal(5, np.float32)
        other.bit_generator.state = again(generator.bit_generator.state, tmp_path)
        assert np.array_equal(generator.integers(0, 9, 50), other.integers(0, 9, 50))


@pytest.mark.parametrize("state, words", [
    ({"a": {1: 2}}, r"state\['a'\] must have strings as keys, got 1: give str\(key\)"),
    ({"a": [0, object]}, r"state\['a'\]\[1\] must be a dictionary, list, tuple, number, text, None or an array"),
    ({1, 2}, "state must be a dictionary"), (1j, "state must be a dictionary"), (b"x", "state must be a dictionary"),
    (np.array(["a"]), "state must hold numbers or truth values"), ([np.array([None])], r"state\[0\] must hold numbers"),
    (np.ma.ones(3), r"its mask would be lost: give filled\(value\)"), (np.datetime64("2020"), "must hold numbers")])
def test_what_no_file_can_hold(tmp_path, state, words):
    with pytest.raises(TypeError, match=f"^checkpoint: {words}" if words.startswith("state") else words):
        checkpoints.write(tmp_path / "state", state)
    assert not list(tmp_path.iterdir())


def test_bounds_of_what_is_written(tmp_path):
    itself = []
    itself.append(itself)
    with pytest.raises(ValueError, match=r"state\[0\]\[0\].*is nested deeper than 100, or holds itself"):
        checkpoints.write(tmp_path / "state", itself)
    deep = np.ones(2)
    for _ in range(50):
        deep = ({"$": deep},)
    assert same(again(deep, tmp_path), deep)
    with pytest.raises(ValueError, match="is nested deeper than 100"):
        checkpoints.write(tmp_path / "state", [deep])
    with pytest.raises(ValueError, match="bytes besides its arrays, at most 1048576 are allowed: keep many numbers in"):
        checkpoints.write(tmp_path / "state", "x" * 1_048_600)
    many = [float(i) for i in range(1_000_000)]
    assert again(many, tmp_path) == many


def test_what_is_no_checkpoint(tmp_path):
    assert issubclass(CheckpointError, ValueError) and fastnet.CheckpointError is CheckpointError
    with pytest.raises(FileNotFoundError, match="^checkpoint: .*none: no such file"):
        checkpoints.read(tmp_path / "none")
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        checkpoints.read(tmp_path)
    for data in (b"", b"x", b"fastnet-state-1\n", b"fastnet-state-1\n" + bytes(100)):
        (tmp_path / "state").write_bytes(data)
        with pytest.raises(CheckpointError, match=f"^{tmp_path}/state: not a whole checkpoint: it "):
            checkpoints.read(tmp_path / "state")


def test_every_cut_and_every_flip_is_seen(tmp_path):
    path = tmp_path / "state"
    checkpoints.write(path, {"a": [1, (2.5,)], "x": np.arange(3)})
    data = path.read_bytes()
    for place in (*range(0, len(data), 3), len(data) - 1):
        for changed in (data[:place], data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1:]):
            path.write_bytes(changed)
            with pytest.raises(CheckpointError, match="not a whole checkpoint"):
                checkpoints.read(path)


def sealed(header, data=b"", length=None):
    """A file of any header, with a digest that fits."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    start = b"fastnet-state-1\n" + struct.pack("<Q", len(header) if length is None else length) + header
    content = start + bytes(-len(start) % 64) * bool(data) + data
    return content + blake2b(content, digest_size=32).digest()


def described(dtype, shape, data=b""):
    return sealed({"$array": [dtype, shape]}, data)


@pytest.mark.parametrize("content, words", [
    (sealed(b"{"), "Expecting"), (sealed(b"\xff"), "ascii"), (sealed(b"9" * 5000), "limit"),
    (sealed(b"1", length=2**63), "its header would have 9223372036854775808 bytes"),
    (sealed(b"1", length=2), "would have 2 bytes"), (sealed(1, b"x"), "bytes are too many"),
    (sealed(b"[" * 100_000), "recursion|Expecting"), (sealed(b"[" * 300 + b"]" * 300), "nested too deep"),
    (sealed(b'{"a":1,"a":1}'), "a key stands twice"), (sealed({"$run": 1}), r"'\$run' in its header is not known"),
    (described("<f4", [3], bytes(11)), r"an array of shape \[3\] reaches beyond its end"),
    (described("<f4", [2**61, 2**61]), "reaches beyond"), (described("<f4", [0, 2**61, 2**61]), "."),
    (sealed({"$scalar": "<f8"}), "reaches beyond"), (described("O", [1], bytes(8)), "dtype and sizes"),
    *((described(*lie), "dtype and sizes") for lie in (
        ("<f4", [-1]), ([], [1]), ("<f4", [True]), ("<f4", 3), ("<f4", [0] * 65), ("<f4", ["1"]))),
    (sealed({"$array": 1}), "by other words"), (sealed({"$tuple": {}}), "a tuple must be a list"),
    (sealed({"$int": "x"}), "invalid literal"), (sealed({"$int": 1}), "an integer must be a string"),
    (sealed({"$dict": [1, 2]}), "a key must be a string"), (sealed({"$dict": 1}), "by other words"),
])
def test_headers_that_lie(tmp_path, content, words):
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        checkpoints.read(path)
    assert str(caught.value).startswith(f"{path}: not a whole checkpoint: ") and len(str(caught.value)) < 400


LONGEST = 1 << 20
BOMBS = {
    "lists": b"[" + b"[]," * (LONGEST // 3 - 1) + b"1]", "dictionaries": b"[" + b'{"":1},' * (LONGEST // 7 - 1) + b"1]",
    "floats": b"[" + b"0.5," * (LONGEST // 4 - 1) + b"1]",
    "texts": b"[" + b'"\\u0100",' * (LONGEST // 9 - 1) + b"1]", "quotes": b'"' + b'\\"' * (LONGEST // 2 - 1),
    "tuples": b"[" + b'{"$tuple":[]},' * (LONGEST // 14 - 1) + b"1]",
    "arrays": b"[" + b'{"$array":["<f4",[0]]},' * (LONGEST // 24 - 1) + b"1]",
    "wide": b'"\\ud83d\\ude00' + b"x" * (LONGEST - 14) + b'"', "digits": b'{"$int":"' + b"f" * (LONGEST - 11) + b'"}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_headers_cost_little(tmp_path, name):
    content = sealed(BOMBS[name])
    assert spent(tmp_path / "state", content) < 4 * len(content) + (64 << 20)


def test_long_lists_cost_little(tmp_path):
    count = 1 << 20
    content = sealed({"$list": ["<i8", count]}, (np.arange(count) << 40).tobytes())
    assert spent(tmp_path / "state", content) < 4 * len(content) + (64 << 20)
    content = sealed([{"$list": ["<i8", count]}, {"$list": ["|b1", 64]}], bytes(8 * count + 64))
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(CheckpointError, match="its lists are too long"):
        checkpoints.read(tmp_path / "state")


def spent(path, content):
    """The most memory that reading took, in bytes."""
    path.write_bytes(content)
    before = most_memory(anew=True)
    try:
        checkpoints.read(path)
    except CheckpointError:
        pass
    return most_memory() - before


class TestCheckpoints:
    """The folder."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path / "run" / "states"
        self.checkpoints = Checkpoints(self.folder, keep=2)

    def save(self, *steps, best=False):
        return [self.checkpoints.save({"step": step, "x": np.full(50, step)}, step, best) for step in steps]

    def steps(self):
        """The steps of the files, as text where they are said to be the best."""
        names = [os.path.basename(path) for path in self.checkpoints.paths()]
        return [str(int(name[5:17])) if "best" in name else int(name[5:17]) for name in names]

    def test_the_last_ones_and_the_best_stay(self):
        assert self.checkpoints.latest() == self.checkpoints.best() == (None, None) and not self.folder.exists()
        path, = self.save(0)
        assert os.listdir(self.folder) == ["step-000000000000.checkpoint"] and os.path.dirname(path) == str(self.folder)
        self.save(5, best=True)
        self.save(10, 20, 30)
        assert self.steps() == ["5", 20, 30]
        assert self.checkpoints.best()[0]["step"] == 5
        self.save(40, best=True)
        assert self.steps() == [30, "40"]
        self.save(50, 60, 70)
        assert self.steps() == ["40", 60, 70]
        state, path = self.checkpoints.latest()
        assert state["step"] == 70 and path == self.checkpoints.paths()[-1] and np.array_equal(state["x"], [70] * 50)
        assert repr(self.checkpoints) == f"Checkpoints({str(self.folder)!r}, keep=2)"

    @pytest.mark.parametrize("keep", range(1, 8))
    def test_as_many_stay_as_are_to_be_kept(self, keep):
        self.checkpoints = Checkpoints(self.folder, keep)
        for step in range(9):
            self.save(step)
            assert self.steps() == [*range(step + 1)][-keep:]

    def test_a_step_that_is_saved_again_takes_the_place(self):
        self.save(1, 2)
        self.save(2, best=True)
        assert self.steps() == [1, "2"]

    def test_the_best_stays_where_its_step_is_saved_again(self):
        self.save(1)
        best, = self.save(2, best=True)
        last, = self.save(2)
        assert self.steps() == [1, "2", 2]
        assert self.checkpoints.best()[1] == best and self.checkpoints.latest()[1] == last
        self.save(3, 4)
        assert self.steps() == ["2", 3, 4]
        self.save(4, best=True)
        assert self.steps() == [3, "4"]

    def test_one_that_would_never_be_found_is_refused(self):
        self.save(10, 20)
        with pytest.raises(ValueError, match=r"^Checkpoints.save: step 15 comes before .*020.checkpoint: go on from"):
            self.save(15)
        assert self.steps() == [10, 20]

    @pytest.mark.parametrize("damage", [lambda data: data[:len(data) // 2], lambda data: b"", lambda data: data + b"x"])
    def test_torn_ones_are_passed_over_by_name(self, damage):
        old, new = self.save(10, 20)
        self.tear(new, damage)
        with pytest.warns(UserWarning, match="passed over: .*step-000000000020.checkpoint: not a whole checkpoint"):
            state, path = self.checkpoints.latest()
        assert path == old and state["step"] == 10
        self.save(15)       # training went on from there; what is torn is in nobody's way
        assert self.steps() == [10, 15]
        for path in self.checkpoints.paths():
            self.tear(path, damage)
        with pytest.warns(UserWarning) as caught:
            assert self.checkpoints.latest() == (None, None)
        assert [str(warning.message).split("step-")[1][:12] for warning in caught] == ["000000000015", "000000000010"]
        assert caught[0].filename == __file__

    @staticmethod
    def tear(path, damage):
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(damage(data))

    def test_a_torn_best_one_gives_way_to_the_best_before(self):
        self.save(1, best=True)
        self.save(2, best=True)
        self.tear(self.checkpoints.paths()[-1], lambda data: data[:-1])
        with pytest.warns(UserWarning, match="step-000000000002-best"):
            assert self.checkpoints.best()[0]["step"] == 1

    def test_other_files_are_nobodys_business(self):
        self.save(1)
        others = {"step-1.checkpoint", "notes", ".fastnet-x.tmp", "step-000000000001.checkpoint.bak"}
        for name in others:
            (self.folder / name).write_text("x")
        self.save(2, 3, 4)
        assert self.steps() == [3, 4] and others < set(os.listdir(self.folder))

    def test_what_cannot_be_saved_changes_nothing(self):
        self.save(1, 2)
        with pytest.raises(TypeError, match=r"^Checkpoints.save: state\['x'\] must be a dictionary"):
            self.checkpoints.save({"x": object()}, 3)
        assert self.steps() == [1, 2]

    def test_an_old_one_that_cannot_be_removed_is_told(self, monkeypatch):
        self.save(1, 2)

        def refuse(path):
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(os, "remove", refuse)
        with pytest.warns(UserWarning, match="an old checkpoint stays: .*step-000000000001.checkpoint"):
            self.save(3)
        assert self.steps() == [1, 2, 3]

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(NotADirectoryError, match="file"):
            Checkpoints(tmp_path / "file").save(1, 1)
