"""A contender in a process of its own: PyTorch with another allocator of memory, which must be there from the start.

PyTorch asks for new memory in every step. The allocator of the C library gives large arrays back to the system, whose
pages then have to be made anew; tcmalloc keeps them.
"""
import ctypes.util
import multiprocessing
import os
import weakref
from contextlib import contextmanager


def tcmalloc():
    """The shared library: FASTNET_BENCH_TCMALLOC, or what the system has; None where there is none."""
    names = "tcmalloc_minimal", "tcmalloc"
    return os.environ.get("FASTNET_BENCH_TCMALLOC") or next(filter(None, map(ctypes.util.find_library, names)), None)


@contextmanager
def environment(**values):
    """Processes that are started in the block get these variables, those that are not None."""
    values = {name: value for name, value in values.items() if value is not None}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Elsewhere:
    """A function to time that has a process run the case; the results come with the first call only."""

    def __init__(self, library, case, way, threads, network):
        context = multiprocessing.get_context("spawn")
        self.line, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, case, way, threads, network), daemon=True)
        with environment(LD_PRELOAD=library, TCMALLOC_RELEASE_RATE="0"):
            self.process.start()
        other.close()   # so that the line ends when the process does
        weakref.finalize(self, stop, self.process)
        self.results = True

    def __call__(self):
        self.line.send(self.results)
        self.results = False
        return self.line.recv()


def stop(process):
    process.terminate()
    process.join()


def serve(line, case, way, threads, network):
    """Run the case whenever asked to."""
    import peers
    import torch

    torch.set_num_threads(threads)
    run = peers.OPERATIONS[case.op](case, way, network=network)
    while True:
        try:
            wanted = line.recv()
        except EOFError:
            return
        results = run()
        line.send(tuple(one.detach().float().numpy() for one in results) if wanted else ())
