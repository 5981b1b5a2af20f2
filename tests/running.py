"""Documents and examples, run as they stand."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def blocks(page):
    """The Python of a page, "README.md" or "docs/training.md": a text for each block."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(texts, name):
    """The names that these texts leave, run one after the other; `name` is what tracebacks call them."""
    found = {"__name__": "page"}
    for text in texts:
        exec(compile(text, name, "exec"), found)
    return found


def drawing():
    """Let Matplotlib draw without windows, where it is there."""
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot
    pyplot.close("all")
