"""Images from files: how many a second, against torchvision where it is installed, how much memory, and how long a
training would wait for them.

usage: python bench/images.py [--images 20000] [--folder FOLDER] [--rounds 5] [--workers 2]

Writes generated JPEGs of 200 x 250 to 375 x 500 pixels, smooth noise of several sizes and grain as in photographs, into
FOLDER, or into one of its own that is removed afterwards. Both read the same files to the same size, with as many
workers, in epochs that take turns; the workers of torchvision stay alive between them, and the first batches of each
are not timed.
The number that counts is the ratio of the medians: the seconds are those of a machine that others may use too.

Waiting: a stand-in for a net burns 2 ms of processor time for each image, on one core and then on two, without holding
Python's lock, as compiled kernels do. It says which share of an epoch the loop stood waiting: what there is of it is
the first batch, a tenth of a second, so that it is much of a short epoch and nothing of a long one. A net that keeps
all cores busy shares them with the loader: its epoch then takes longer than one whose images are in memory.
"""
import argparse
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from fastnet.data import Augment, DataLoader, ImageFolder, Normalize

BATCH = 64
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
NORMALIZE = Normalize(255 * MEAN, 255 * DEVIATION)
TASKS = {   # what is made of the images: the size, and what is random
    "64 x 64, from the middle": (64, None),
    "224 x 224, random resized crops": (224, Augment(resized_crop=(0.08, 1), flip=True)),
}


def photographs(folder, count, seed=0):
    """Write `count` JPEGs into two folders of classes."""
    rng = np.random.default_rng(seed)
    grounds = []
    for _ in range(24):     # noise of several sizes, the coarse the stronger
        ground = np.zeros((600, 760, 3), np.float32)
        for cells in (3, 8, 24, 80, 300):
            coarse = rng.integers(0, 256, (cells, cells, 3), np.uint8)
            ground += np.asarray(Image.fromarray(coarse).resize((760, 600), Image.Resampling.BICUBIC)) / cells**0.4
        ground -= ground.min()
        ground *= 255 / ground.max()
        ground += 4 * rng.standard_normal(ground.shape[:2], np.float32)[..., None]      # grain
        grounds.append(np.clip(ground, 0, 255).astype(np.uint8))
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        height, width = sorted((rng.integers(200, 376), rng.integers(250, 501)))
        top, left = rng.integers(0, 600 - height), rng.integers(0, 760 - width)
        part = grounds[i % 24][top:top + height, left:left + width, rng.permutation(3)]
        Image.fromarray(np.ascontiguousarray(part[:, ::rng.choice([-1, 1])])).save(
            folder / ("first", "second")[i % 2] / f"{i:06}.jpg", quality=int(rng.integers(80, 95)))


def ours(folder, size, augment, workers):
    """A function that goes through an epoch and gives the number of images."""
    loader = DataLoader(ImageFolder(folder, size), batch_size=BATCH, augment=augment, normalize=NORMALIZE,
                        workers=workers, prefetch=2)
    return lambda most=None: sum(len(x) for x, _ in islice(loader, most))


def theirs(folder, size, augment, workers):
    import torch
    from torchvision import datasets, transforms

    moves = [transforms.Resize(size), transforms.CenterCrop(size)] if augment is None else [
        transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
    chain = transforms.Compose([*moves, transforms.ToTensor(), transforms.Normalize(MEAN.tolist(), DEVIATION.tolist())])
    loader = torch.utils.data.DataLoader(datasets.ImageFolder(folder, chain), BATCH, shuffle=True, num_workers=workers,
                                         persistent_workers=workers > 0)
    return lambda most=None: sum(len(x) for x, _ in islice(loader, most))


def speeds(folder, rounds, workers):
    """Print images a second, and the ratio where there is a peer."""
    try:
        import torchvision  # noqa: F401  (where it cannot be loaded there is no peer)
        peers = {"torchvision": theirs}
    except (ImportError, RuntimeError) as error:
        print(f"without a peer: {error}")
        peers = {}
    for task, (size, augment) in TASKS.items():
        runs = {name: make(folder, size, augment, workers) for name, make in ({"fastnet": ours} | peers).items()}
        times = {name: [] for name in runs}
        for run in runs.values():
            run(20)
        for _ in range(rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                count = run()
                times[name].append((time.perf_counter() - start) / count)
        median = {name: statistics.median(all_) for name, all_ in times.items()}
        text = ", ".join(f"{name} {1 / seconds:,.0f}" for name, seconds in median.items())
        for peer in peers:
            ratios = [b / a for a, b in zip(times["fastnet"], times[peer], strict=True)]
            text += (f"; fastnet is {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to "
                     f"{max(ratios):.2f})")
        print(f"{task}: images a second: {text}", flush=True)


def burn(seconds):
    """Keep one core busy for so much processor time, without Python's lock."""
    block, end = bytes(1 << 18), time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.sha256(block)


def waiting(folder, workers, each=0.002, most=2000, epochs=5):
    """Print how long a net of 2 ms an image waits, on one core and on two, in epochs of at most so many images."""
    files = ImageFolder(folder, 64)
    files = files[:: -(-len(files) // most)]
    kept = files.load()
    for cores in (1, 2):
        loader, still = (DataLoader(*data, batch_size=BATCH, normalize=NORMALIZE, workers=workers)
                         for data in ((files,), kept))
        epoch(DataLoader(files[:BATCH], batch_size=BATCH, normalize=NORMALIZE), each, cores)    # what is compiled is
        found = np.array([epoch(loader, each, cores) for _ in range(epochs)])
        shares, first = found[:, 1] / found[:, 0], found[:, 2] / found[:, 0]
        memory = statistics.median(epoch(still, each, cores)[0] for _ in range(2))
        print(f"a net of {1000 * each:.0f} ms an image on {cores} of {os.cpu_count()} cores, epochs of {len(files):,} "
              f"images: waits {np.median(shares):.1%} of the time ({shares.min():.1%} to {shares.max():.1%}), "
              f"{np.median(first):.1%} for the first batch; takes {np.median(found[:, 0]) / memory:.2f} times as long "
              "as with images in memory", flush=True)


def epoch(loader, each, cores):
    """Seconds of an epoch in which so many threads burn, seconds of waiting, and of waiting for the first batch."""
    waits, start, before = [], time.perf_counter(), time.perf_counter()
    for x, _ in loader:
        waits.append(time.perf_counter() - before)
        threads = [threading.Thread(target=burn, args=(each * len(x),)) for _ in range(cores - 1)]
        for thread in threads:
            thread.start()
        burn(each * len(x))
        for thread in threads:
            thread.join()
        before = time.perf_counter()
    return before - start, sum(waits), waits[0]


def memory(folder, workers):
    """Print the most memory that this process, which does nothing else, has held in an epoch of each task."""
    for size, augment in TASKS.values():
        ours(folder, size, augment, workers)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    print(f"memory of a process that reads all of them: {peak:.2f} GiB at most", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=["memory", "waiting", "speeds"], help="measure nothing else")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = given.folder or Path(own) / "images"
        if not folder.exists():
            photographs(folder, given.images)
        if given.only == "memory":
            memory(folder, given.workers)
        if given.only is None:      # in a process that does nothing else
            subprocess.run([sys.executable, __file__, "--only", "memory", "--folder", folder, "--workers",
                            str(given.workers)], check=True, env=os.environ)
        if given.only in (None, "waiting"):
            waiting(folder, given.workers)
        if given.only in (None, "speeds"):
            speeds(folder, given.rounds, given.workers)


if __name__ == "__main__":
    main()
