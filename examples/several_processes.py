"""Trains one net in several processes, each on its share of the data; before each update they average their gradients.

    python examples/several_processes.py --processes 2

All make the same net from the same seed and take the same steps, so that their weights stay equal to the last bit. It
is worth it where processes run on machines of their own: with MPI `Average.mean` becomes
``comm.allreduce(row) / comm.size``, and the rest stays. On one machine threads do the same for less.
What each batch norm has seen are the batches of its own process; dropout and augmentation draw there as well.
"""
import argparse
import multiprocessing
import os

import numpy as np

import fastnet
from fastnet import data


class Average(fastnet.Callback):
    """Replaces the gradients by their means over all processes.

    rows : an array that all processes share, with a row of all gradients for each;  number : that of this process
    barrier : at which all wait for each other
    """

    def __init__(self, rows, number, barrier):
        self.rows, self.number, self.barrier = rows, number, barrier

    def on_gradients(self, trainer):
        trained = [parameter for parameter in trainer.net.parameters() if parameter.grad is not None]
        mean = self.mean(np.concatenate([parameter.grad.ravel() for parameter in trained]))
        ends = np.cumsum([parameter.grad.size for parameter in trained])
        for parameter, part in zip(trained, np.split(mean, ends[:-1]), strict=True):
            parameter.grad = part.reshape(parameter.grad.shape)

    def mean(self, row):
        """Of the rows of all, added in the same order everywhere."""
        self.rows[self.number] = row
        self.barrier.wait()     # until all have written
        mean = self.rows.mean(axis=0)
        self.barrier.wait()     # until all have read
        return mean


def make_net():
    fastnet.manual_seed(0)
    return fastnet.models.lenet5(10)


def work(number, memory, barrier, given, found):
    """What each process does; all have as many batches, for nobody may wait for one that has ended."""
    net = make_net()
    rows = np.frombuffer(memory, np.float32).reshape(given.processes, -1)
    images, _ = data.synthetic(given.images, 10)
    each = len(images) // given.processes
    mine = images[number * each:(number + 1) * each]
    batches = data.DataLoader(mine, batch_size=given.batch_size, seed=number, drop_last=True,
                              normalize=data.Normalize([128] * 3, [64] * 3))
    callbacks = [Average(rows, number, barrier)] + [fastnet.Progress()] * (number == 0)
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), fastnet.Adam(net.parameters(), 0.002), callbacks)
    trainer.fit(batches, given.epochs)
    found.put((number, net.state_dict()))


def main(argv=None):
    """The weights of each process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--batch-size", type=int, default=64, help="of each process")
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args(argv)
    os.environ.setdefault("FASTNET_NUM_THREADS", str(max(1, os.cpu_count() // given.processes)))    # of each
    start = multiprocessing.get_context("spawn")
    size = sum(parameter.value.size for parameter in make_net().parameters())
    memory, barrier = start.RawArray("f", given.processes * size), start.Barrier(given.processes, timeout=300)
    found = start.Queue()
    processes = [start.Process(target=work, args=(number, memory, barrier, given, found))
                 for number in range(given.processes)]
    for process in processes:
        process.start()
    weights = dict(found.get() for _ in processes)
    for process in processes:
        process.join()
    equal = all(np.array_equal(weights[0][name], other[name]) for other in weights.values() for name in weights[0])
    print(f"{given.processes} processes, weights that are {'equal to the last bit' if equal else 'not equal'}")
    return [weights[number] for number in range(given.processes)]


if __name__ == "__main__":
    main()
