"""What each step of a small net needs, with little Python in it: batches of rows, and a penalty."""
import numpy as np

from fastnet.regularizers import L2

_CHUNK = 2**24      # bytes of rows that are put in order at once


class RowBatches:
    """Batches (x, y) of rows x (N, ...) and of y, an array or a tuple of arrays, as a `DataLoader` gives them; another
    order in each epoch where `shuffle`.

    Many batches are copied at once: of small rows a copy takes less time than the Python around it. A batch is good
    until the next one is asked for.
    """

    def __init__(self, x, y, size, shuffle, seed):
        self.x, self.y, self.size, self.shuffle, self.seed, self.epoch = x, y, size, shuffle, seed, 0
        each = max(1, x.nbytes // len(x))
        self._chunk = min(len(x), max(1, _CHUNK // (each * size)) * size)
        self._rows = np.empty((self._chunk, *x.shape[1:]), x.dtype) if shuffle else None

    def __len__(self):
        return -(-len(self.x) // self.size)

    def set_epoch(self, epoch):
        """The next order is that of this epoch."""
        self.epoch = epoch

    def __iter__(self):
        if not self.shuffle:
            yield from self._cut(self.x, self.y)
            return
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.x))
        for start in range(0, len(order), self._chunk):
            index = order[start:start + self._chunk]
            rows = np.take(self.x, index, axis=0, out=self._rows[:len(index)], mode="clip")
            yield from self._cut(rows, _mapped(lambda array, index=index: array[index], self.y))

    def _cut(self, x, y):
        for start in range(0, len(x), self.size):
            part = slice(start, start + self.size)
            yield x[part], _mapped(lambda array, part=part: array[part], y)


def _mapped(function, y):
    return tuple(map(function, y)) if isinstance(y, tuple) else function(y)


class Penalty(L2):
    """L2 on the weights of one net, in a fifth of the time: it neither looks for them nor checks them in each step."""

    def __init__(self, strength, net):
        super().__init__(strength)
        vars(self)["_weights"] = [parameter for parameter in net.parameters() if parameter.value.ndim > 1]

    def add(self, net):
        factor = np.float32(2 * self.strength)
        for parameter in self._weights:
            if parameter.grad is not None:
                more = factor * parameter.value
                more += parameter.grad
                parameter.grad = more
        return self.strength * sum([float(np.vdot(weight.value, weight.value)) for weight in self._weights])
