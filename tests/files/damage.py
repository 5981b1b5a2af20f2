"""Files that are damaged at random, and what is asked of whoever reads them."""
import numpy as np
import pytest

# Both tiers: some files, and fifty thousand.
SEEDS = pytest.mark.parametrize("seeds", [
    range(500), pytest.param(range(500, 50_000), marks=pytest.mark.slow)], ids=len)


def mutated(data, rng):
    """The bytes with some changed, cut out or put twice."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place, kind = int(rng.integers(len(data))), rng.integers(4)
        if kind == 0:
            data[place] = rng.integers(256)
        elif kind == 1:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del data[place: place + int(rng.integers(1, 40))]
        else:
            data[place:place] = data[place: place + int(rng.integers(1, 40))]
        if not data:
            return b""
    return bytes(data)


def check_damaged(read, path, originals, seeds, write=None):
    """Each file is read, or refused by a ValueError that names it. ``write(content)`` writes it to `path`."""
    write, refused = write or path.write_bytes, 0
    for seed in seeds:
        write(mutated(originals[seed % len(originals)], np.random.default_rng(seed)))
        try:
            read(path)
        except ValueError as error:
            assert str(error).startswith(str(path)), seed
            refused += 1
    assert refused > len(seeds) // 4    # most damage is seen
