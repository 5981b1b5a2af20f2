"""``python -m fastnet train`` and ``predict`` are for folders of images, ``python -m fastnet warmup`` compiles ahead,
``python -m fastnet summary resnet18`` shows the layers of a net, and ``python -m fastnet info`` tells what the library
runs on; alone it says what there is."""
import argparse
import platform
import sys

import numba
import numpy as np

from fastnet import __version__, commands, init, models
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import cache
from fastnet.program.tables import summary
from fastnet.warmup import warmup


def info():
    """Versions, threads, vectors and the cache: a list of (what, value)."""
    kept = [path.stat().st_size for path in cache.folder().rglob("*.bin")]
    return [
        ("fastnet", __version__),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
        ("Numba", numba.__version__),
        ("processor", f"{platform.machine()}, vectors of {8 * simd.VECTOR_BYTES} bits ({simd.HOST})"),
        ("threads", str(numba.get_num_threads())),
        ("cache folder", str(cache.folder())),
        ("cached kernels", f"{len(kept)}, {sum(kept) / 1e6:.1f} MB"),
    ]


def main(arguments=None):
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fastnet", description="fastnet's commands")
    parser.add_argument("--version", action="version", version=f"fastnet {__version__}")
    known = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    commands.add(known)
    ahead = known.add_parser("warmup", help="compile the kernels that models need, before they are needed")
    ahead.add_argument("--model", nargs="+", choices=models.__all__, default=["small_convnet"], metavar="MODEL",
                       help=f"one or more of {', '.join(models.__all__)} (default: small_convnet)")
    ahead.add_argument("--batch-size", type=int,
                       help="samples in a training step (default: 128, fewer of images larger than 32 x 32)")
    ahead.add_argument("--processes", type=int, default=2, help="how many compile at a time (default: 2)")
    layers = known.add_parser("summary", help="show the layers of a model, with shapes, parameters and memory")
    layers.add_argument("model", choices=models.__all__, metavar="MODEL", help=f"one of {', '.join(models.__all__)}")
    layers.add_argument("--input-shape", type=int, nargs="+", metavar="LENGTH",
                        help="of a batch, such as 8 3 224 224 (default: one of what the model was made for)")
    known.add_parser("info", help="show versions, threads, vector width and the cache folder")
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
    elif hasattr(given, "run"):
        try:
            given.run(given)
        except (ValueError, TypeError, OSError, ImportError) as error:
            parser.error(str(error))
    elif given.command == "info":
        rows = info()
        width = max(len(what) for what, _ in rows)
        print("\n".join(f"{what.ljust(width)}  {value}" for what, value in rows))
    elif given.command == "summary":
        make = getattr(models, given.model)
        with init.skip():
            net = make()
        try:
            print(summary(net, tuple(given.input_shape or (1, *make.input_shape))))
        except ValueError as error:
            parser.error(str(error))
    else:
        for value, name in ((given.batch_size, "--batch-size"), (given.processes, "--processes")):
            if value is not None and value < 1:
                parser.error(f"{name} must be at least 1, got {value}")
        warmup(given.model, given.batch_size, given.processes, lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
