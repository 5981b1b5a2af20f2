"""A training of minutes, undisturbed and killed again and again: ``python -m tests.training.long FOLDER EPOCHS KILLS``.

Both run beside each other, in processes of one thread, and write a checkpoint every 20 seconds. The second is killed at
random moments, kill -9, and begun again by the same program with what is in its folder. Says whether both end with the
same state, to the last bit, and how the memory of the first one goes. Without KILLS it is one of the two.
"""
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

import fastnet
from fastnet import data, optim, schedules
from fastnet.files import checkpoints
from fastnet.training import Callback, EarlyStopping, LearningRateSchedule, SaveCheckpoints, WeightAverage
from fastnet.training.memory import resident

from .test_resume import assert_same

SECONDS = 20    # between checkpoints
STEPS = 32      # of an epoch: 63 batches of 64 images, two a step
FOLDER = Path(__file__).parents[2]


class Tell(Callback):
    """A line for each step: its number, the time, and MiB that are resident."""

    def on_step_end(self, trainer):
        print(trainer.step, f"{time.perf_counter():.2f} {resident():.2f}", flush=True)


def train(folder, epochs):
    """Whatever has a state takes part: order, augmentation, dropout, batch norm, Adam, a schedule, means, the best."""
    fastnet.manual_seed(5)
    net = fastnet.Sequential(
        fastnet.Conv2d(3, 16, 3, padding=1, bias=False), fastnet.BatchNorm2d(16), fastnet.ReLU(), fastnet.MaxPool2d(2),
        fastnet.Conv2d(16, 16, 3, padding=1), fastnet.ReLU(), fastnet.MaxPool2d(2), fastnet.Dropout(0.2),
        fastnet.Flatten(), fastnet.Linear(1024, 10))
    images, held_out = data.synthetic(4032, 512)
    batches = data.DataLoader(images, batch_size=64, seed=2, prefetch=2,
                              augment=data.Augment(crop=4, flip=True, cutout=8, brightness=0.2))
    trainer = fastnet.Trainer(
        net, fastnet.CrossEntropyLoss(), optim.Adam(net.parameters(), 0.002, max_norm=5.0),
        [LearningRateSchedule(schedules.one_cycle(0.002, epochs * STEPS)), WeightAverage(0.999),
         EarlyStopping(epochs, "val_loss"), SaveCheckpoints(folder / "states", every_seconds=SECONDS), Tell()],
        accumulate=2)
    trainer.fit(batches, epochs, data.DataLoader(held_out, shuffle=False), resume=folder / "states")
    checkpoints.write(folder / "end", trainer.state_dict())


def start(folder, epochs):
    return subprocess.Popen([sys.executable, "-m", "tests.training.long", folder, str(epochs)], cwd=FOLDER, text=True,
                            stdout=subprocess.PIPE, env={**os.environ, "FASTNET_NUM_THREADS": "1"})


def calmly(folder, epochs, told):
    """Train without being disturbed; `told` gets (step, seconds, MiB) of each step."""
    with start(folder, epochs) as process:
        told += [tuple(map(float, line.split())) for line in process.stdout]
    assert process.returncode == 0


def reached(lines, step):
    """Wait until some step: (its number, the seconds that the quickest one took)."""
    before, quickest = None, None
    for line in lines:
        last, seconds, _ = line.split()
        if before is not None:
            quickest = min(float(seconds) - before, quickest or np.inf)
        if int(last) >= step:
            return int(last), quickest or 0.0
        before = float(seconds)
    raise AssertionError(f"the training ended before step {step}")


def killed(folder, epochs, kills, rng):
    """Train, and be killed so many times, each time within a second and half an epoch after some step, so that the
    last time comes before the end too."""
    for step in sorted(rng.sample(range(1, epochs * STEPS - STEPS), kills)):
        with start(folder, epochs) as process:
            last, seconds = reached(process.stdout, step)
            time.sleep(rng.random() * min(1, STEPS // 2 * seconds))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        print(f"killed at step {last} or soon after, with {len(fastnet.Checkpoints(folder / 'states').paths())} "
              "checkpoints in the folder", flush=True)
    calmly(folder, epochs, [])


def compared(folder, epochs, kills, seed=0):
    """Run both, see that they end alike, and return (minutes, MiB a minute by which the calm one grows, MiB at most,
    MiB at the end), the first fifth of its steps apart, in which memory is found."""
    told = []
    calm = threading.Thread(target=calmly, args=(folder / "calm", epochs, told))
    for name in ("calm", "cut"):
        (folder / name).mkdir(parents=True)
    calm.start()
    killed(folder / "cut", epochs, kills, random.Random(seed))
    calm.join()
    one, other = (checkpoints.read(folder / name / "end") for name in ("calm", "cut"))
    assert one["step"] == len(told) == epochs * STEPS
    assert_same(other, one)
    _, seconds, held = np.array(told[len(told) // 5:]).T
    return (told[-1][1] - told[0][1]) / 60, 60 * np.polyfit(seconds, held, 1)[0], held.max(), held[-1]


def main(folder, epochs, kills=None, seed="0"):
    if kills is None:
        train(Path(folder), int(epochs))
        return
    print("the same bits; {:.1f} minutes, {:+.4f} MiB a minute, {:.1f} MiB at most, {:.1f} at the end".format(
        *compared(Path(folder), int(epochs), int(kills), int(seed))))


if __name__ == "__main__":
    main(*sys.argv[1:])
