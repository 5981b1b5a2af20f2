"""What shows and restores how passes run."""
import numba
import pytest

from fastnet.kernels.cpu.runtime import record


@pytest.fixture
def replays(monkeypatch):
    """A list that grows with every part of a pass that is replayed."""
    found, play = [], record.Recording.run

    def counted(self, part):
        found.append(part)
        play(self, part)

    monkeypatch.setattr(record.Recording, "run", counted)
    return found


@pytest.fixture
def threads():
    """Restores the number of threads."""
    before = numba.get_num_threads()
    yield before
    numba.set_num_threads(before)
