"""Files that are damaged at random, and what is asked of whoever reads them."""
import re
import time

import numpy as np

_NUMBERS = b"0", b"-1", b"2147483648", b"9223372036854775807", b"100000000000000000000", b"1e9", b"null", b"[]"


def mutated(data, rng):
    """The bytes with some changed, cut out or put twice, the end cut off, or a number in words replaced by another."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place, kind = int(rng.integers(len(data))), rng.integers(6)
        if kind == 0:
            data[place] = rng.integers(256)
        elif kind == 1:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del data[place: place + int(rng.integers(1, 40))]
        elif kind == 3:
            data[place:place] = data[place: place + int(rng.integers(1, 40))]
        elif kind == 4:
            number = re.compile(rb"\d+").search(data, place)
            if number:
                data[number.start(): number.end()] = _NUMBERS[rng.integers(len(_NUMBERS))]
        elif rng.integers(4) == 0:
            del data[place:]
        if not data:
            return b""
    return bytes(data)


def check_damaged(read, path, originals, seeds, write=None, errors=(ValueError,)):
    """Each file is read, or refused by an error of these that names it, within a second of computing, and all of them
    with at most 64 MiB more than four times their size. ``write(content)`` writes one to `path`."""
    write, refused = write or path.write_bytes, 0
    before = most_memory(anew=True)
    for seed in seeds:
        write(mutated(originals[seed % len(originals)], np.random.default_rng(seed)))
        started = time.thread_time()
        try:
            read(path)
        except errors as error:
            assert str(path) in str(error) and len(str(error)) < 1000, (seed, error)
            refused += 1
        assert time.thread_time() - started < 1, seed
    assert refused > len(seeds) // 4    # most damage is seen
    assert most_memory() - before < 4 * max(map(len, originals)) + (64 << 20)


def most_memory(anew=False):
    """The most memory that this process has had at a time, in bytes, since it was last asked `anew`; 0 where the system
    does not tell."""
    try:
        if anew:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        with open("/proc/self/status") as file:
            return int(re.search(r"VmHWM:\s*(\d+) kB", file.read())[1]) << 10
    except (OSError, TypeError):
        return 0
