"""Numbers as files hold them, some in dtypes that NumPy does not know."""
import numpy as np


def widened(data, dtype):
    """The numbers in `data`, bytes or a memory view, as a flat array. float16 and "bfloat16", the upper half of a
    float32, become float32, once and exactly; every other dtype, written as NumPy writes it, stays."""
    if dtype == "bfloat16":
        words = widened(data, "<u2").astype("<u4")
        words <<= 16
        return words.view("<f4")
    array = np.frombuffer(data, dtype) if len(data) else np.empty(0, dtype)
    return array.astype(np.float32) if array.dtype.kind == "f" and array.itemsize == 2 else array
