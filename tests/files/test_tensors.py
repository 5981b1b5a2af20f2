"""Arrays by name in files of safetensors."""
import numpy as np
import pytest

from fastnet.files import tensors

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
          "bool"]


def some(dtype, shape=(3, 5)):
    return (np.random.default_rng(0).standard_normal(shape) * 50).astype(dtype)


def written(tmp_path, arrays, metadata=None):
    path = tmp_path / "a.safetensors"
    path.write_bytes(tensors.packed(arrays, metadata))
    return path


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_was_written_is_read(tmp_path, dtype):
    arrays = {"x": some(dtype), "turned": some(dtype).T, "number": some(dtype, ()), "none": some(dtype, (0, 3)),
              "other order": some(dtype).astype(np.dtype(dtype).newbyteorder(">"))}
    got, metadata = tensors.read(written(tmp_path, arrays))
    assert metadata == {} and set(got) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == (np.float32 if dtype == "float16" else dtype) and got[name].shape == array.shape


def test_metadata(tmp_path):
    _, metadata = tensors.read(written(tmp_path, {"x": some("float32")}, {"classes": '["a", "\u00e9"]'}))
    assert metadata == {"classes": '["a", "\u00e9"]'}


def test_what_is_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        tensors.read(tmp_path / "none.safetensors")
    for data in (b"", b"x", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0[]"):
        path = tmp_path / "a.safetensors"
        path.write_bytes(data)
        with pytest.raises(ValueError, match="a.safetensors: damaged, or not a file of safetensors"):
            tensors.read(path)
    for array in (some("complex64"), np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError, match="'x' holds numbers of the dtype"):
            tensors.packed({"x": array})


class TestWithPyTorch:
    """Both ways, bit for bit."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")
        self.library = pytest.importorskip("safetensors.torch")

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "float16", "bfloat16"])
    def test_what_pytorch_wrote(self, tmp_path, dtype):
        x = (self.torch.randn(4, 3) * 3).to(getattr(self.torch, dtype))
        self.library.save_file({"x": x}, tmp_path / "t.safetensors", {"by": "torch"})
        got, metadata = tensors.read(tmp_path / "t.safetensors")
        wanted = x.float() if dtype in ("float16", "bfloat16") else x
        np.testing.assert_array_equal(got["x"], wanted.numpy())
        assert got["x"].dtype == wanted.numpy().dtype and metadata == {"by": "torch"}

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
    def test_what_pytorch_reads(self, tmp_path, dtype):
        x = some(dtype)
        got = self.library.load_file(written(tmp_path, {"x": x}))["x"].numpy()
        np.testing.assert_array_equal(got, x)
        assert got.dtype == x.dtype

    def test_float8_is_refused(self, tmp_path):
        self.library.save_file({"x": self.torch.ones(2).to(self.torch.float8_e4m3fn)}, tmp_path / "t.safetensors")
        with pytest.raises(ValueError, match="'x' holds numbers of the dtype F8_E4M3"):
            tensors.read(tmp_path / "t.safetensors")
