"""A training of minutes that is killed ten times ends as one that nobody disturbed, and memory stays where it is."""
import os

import pytest

from . import long


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("epochs, kills", [(34, 10)])   # some minutes on a quiet machine, twenty and more on a busy one
def test_a_long_training(tmp_path, epochs, kills):
    minutes, slope, most, last = long.compared(tmp_path, epochs, kills)
    assert slope * minutes < 0.05 * last and most < 1.2 * last
