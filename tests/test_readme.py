"""The README's Python runs as it stands there."""
import re
from pathlib import Path

import pytest

from fastnet import data

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=["quick start", "data flow", "program", "container", "own layer"])
def test_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "cifar10", lambda: data.synthetic(train=130, test=20))
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_quick_start_is_quick_to_read():
    assert len(BLOCKS[0].strip().splitlines()) <= 20


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links and all((Path(__file__).parents[1] / link).exists() for link in links)
