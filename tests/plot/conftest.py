"""Axes to draw into; matplotlib without a screen."""
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend comes first)


@pytest.fixture(params=["given", "new"])
def ax(request):
    """Axes to draw into, or None to ask for new ones."""
    yield pyplot.figure().add_subplot() if request.param == "given" else None


@pytest.fixture(autouse=True)
def closed():
    """Figures are closed after each test."""
    yield
    pyplot.close("all")


@pytest.fixture
def drawn(ax):
    """Takes axes that were drawn into, and sees that they are the given ones and can be rendered."""
    def check(result):
        assert ax is None or result is ax
        result.figure.canvas.draw()
        return result

    return check
