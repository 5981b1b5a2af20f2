"""Kills a process that writes checkpoints, again and again, and looks at what it leaves: ``killed folder count seed``.

In a process of its own, so that what is forked has one thread. Prints how many checkpoints were acknowledged.
"""
import os
import random
import signal
import struct
import sys
import time
import warnings

import numpy as np

from fastnet.files import checkpoints


def write(states, step, pipe):
    """Save one state after the other, and acknowledge each."""
    weights = np.random.default_rng(step).standard_normal(1 << 15)
    while True:
        step += 1
        state = {"step": step, "weights": weights + step, "sum": float((weights + step).sum())}
        states.save(state, step, best=step % 7 == 0)
        os.write(pipe, struct.pack("<q", step))


def kill(states, step, rng):
    """Let a process write, kill it at a random moment, and return the last step that it acknowledged."""
    read, acknowledge = os.pipe()
    process = os.fork()
    if not process:
        os.close(read)
        write(states, step, acknowledge)
    os.close(acknowledge)
    first = os.read(read, 8) if rng.random() < 0.8 else b""     # in most cases something has been saved
    time.sleep(rng.random() * 0.05)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with os.fdopen(read, "rb") as pipe:
        found = first + pipe.read()
    return struct.unpack("<q", found[-8:])[0] if found else 0


def main(folder, count, seed):
    warnings.simplefilter("error")
    states, rng, step, acknowledged = checkpoints.Checkpoints(folder), random.Random(seed), 0, 0
    for i in range(count):
        before, last = step, kill(states, step, rng)
        for path in states.paths():
            found = checkpoints.read(path)
            assert found["sum"] == float(found["weights"].sum()), path
        state, _ = states.latest()
        step = 0 if state is None else state["step"]
        assert step >= max(before, last), (i, step, last)
        acknowledged += step - before
    for name in os.listdir(folder):
        if name.endswith(".tmp"):
            os.utime(os.path.join(folder, name), (0, 0))
    states.save({"step": step + 1}, step + 1)
    assert len(os.listdir(folder)) == len(states.paths()) <= 4
    print(acknowledged)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
