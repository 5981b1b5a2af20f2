"""Plans: a kernel finds the numbers of an array under the names that they had."""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu.runtime import Launch, entry, in_words, jit, named, recorder


class Plan(NamedTuple):
    rows: int
    columns: int
    wanted: int

    @property
    def size(self):
        return self.rows * self.columns


class Arrays(NamedTuple):
    x: np.ndarray
    y: np.ndarray


@jit
def _fill(block, slot, arrays, numbers):
    """y[block] tells all of entry `block`, and of the first."""
    first, own = named(Plan, numbers), entry(Plan, numbers, block)
    later = Plan(own.rows + 1, own.columns, own.wanted)
    arrays.y[block] = 1000 * first.columns + 100 * later.rows + 10 * own.columns + own.wanted + arrays.x[block]


def plans():
    return in_words(Plan(1, 2, True), Plan(rows=3, columns=4, wanted=False))


def test_words_are_whole_numbers_in_order():
    assert plans().dtype == np.int64 and plans().tolist() == [1, 2, 1, 3, 4, 0]
    assert in_words(Plan(2, 3, 0)._replace(wanted=1)).tolist() == [2, 3, 1] and Plan(2, 3, 0).size == 6


def test_a_kernel_reads_them_by_name():
    x, y = np.array([0.5, 0.25]), np.zeros(2)
    Launch(_fill, 2, 0)(Arrays(x, y), plans())
    assert y.tolist() == [2000 + 200 + 20 + 1 + 0.5, 2000 + 400 + 40 + 0.25]


def test_a_launch_is_repeated_for_other_arrays():
    launch = Launch(_fill, 2, 0)
    for first in (0.5, 1.5, 2.5):
        x, y = np.array([first, 0.25]), np.zeros(2)
        launch(Arrays(x, y), plans())
        assert y.tolist() == [2000 + 200 + 20 + 1 + first, 2000 + 400 + 40 + 0.25]


def test_a_recording_takes_plans_and_tuples_of_arrays():
    notes = recorder()
    if notes is None:   # without the compiler there are no recordings
        return
    x, y, launch = np.array([0.5, 0.25]), np.zeros(2), Launch(_fill, 2, 0)
    with notes:
        launch(Arrays(notes.tag("x", x), notes.tag("y", y)), plans())
        notes.cut()
    recording, other, out = notes.finish(), np.array([1.0, 2.0]), np.zeros(2)
    recording.bind(("x", "y"), (other.ctypes.data, out.ctypes.data))
    recording.run(0)
    assert out.tolist() == [2000 + 200 + 20 + 1 + 1.0, 2000 + 400 + 40 + 2.0]
