"""The Python of each page of docs runs as it stands there, block after block, and ends in what the page says."""
import ast
import importlib.util
import re
import sys
from typing import NamedTuple

import numpy as np
import pytest

import fastnet
from fastnet import data

from .running import ROOT, blocks, drawing, run

PAGES = {path.name: texts for path in sorted((ROOT / "docs").glob("*.md")) if (texts := blocks(f"docs/{path.name}"))}
NUMBERS = {"two": 2, "five": 5, "six": 6, "eight": 8}
RECIPES = [(title, block, NUMBERS[found.group(1)]) for page in PAGES for title, block in re.findall(
    r"^## (.*)\n(?:(?!^## ).*\n)*?```python\n((?:.*\n)*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"),
    re.MULTILINE) if (found := re.search(r"in (\w+) statements", title))]


class Ended(NamedTuple):
    """What a page has left: its names, what it printed, its folder."""

    names: dict
    out: str
    folder: object

    def pictures(self):
        return sorted(path.name for path in self.folder.glob("*.png"))


# What pages find in the folder that they run in

def photographs(folder, monkeypatch):
    from PIL import Image

    from .training.test_images import photographs

    photographs(folder / "photographs", 40)
    Image.open(folder / "photographs" / "day" / "000.jpg").save(folder / "new.jpg")
    (folder / "list.csv").write_text("path,label\nphotographs/day/000.jpg,day\nphotographs/night/001.jpg,night\n")


def houses(folder, monkeypatch):
    from sklearn.datasets import load_diabetes

    np.savetxt(folder / "houses.csv", np.column_stack(load_diabetes(return_X_y=True)), delimiter=",", header="columns")


def prelu(folder, monkeypatch):
    from .test_own_kernel import EXAMPLE

    path = folder / "prelu.py"
    path.write_text(EXAMPLE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("prelu", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "prelu", module)
    spec.loader.exec_module(module)


# What pages end in

def training(ended):
    names = ended.names
    assert ended.pictures() == ["confusion.png", "curves.png", "net.png", "rates.png", "where.png", "wrong.png"]
    assert "all gradients are right" in ended.out and names["scores"].shape == (40, 10)
    assert [len(names["snapshots"].nets), len(names["history"])] == [2, 2]
    assert "val_worst" in names["stop"].monitor


def finetuning(ended):
    frozen = [layer for _, layer in ended.names["net"].named_layers() if getattr(layer, "frozen", False)]
    assert frozen and all(isinstance(layer, fastnet.BatchNorm2d) for layer in frozen)
    assert ended.names["features"].shape == (65, 64) and ended.names["accuracy"] > 0.5


def images(ended):
    (best, share), _ = ended.names["found"]
    assert best == "day" and share > 0.5


def inside(ended):
    names = ended.names
    assert names["saliency"].shape == names["cam"].shape == (4, 32, 32) and names["dead"].shape == (32,)
    assert set(names["norms"]) == {name for name, layer in names["net"].named_layers() if not layer.composed}
    assert all(len(norms) == 2 for norms in names["norms"].values())
    assert ended.out.startswith("training, x of shape (4, 3, 32, 32), float32")


def tables(ended):
    for told in (r"R2 0\.[2-9]\d+, first row", r"^0\.9", r"AUC 0\.9[89]", "val_accuracy"):
        assert re.search(told, ended.out, re.MULTILINE)


def own_kernel(ended):
    names, page = ended.names, (ROOT / "docs" / "own_kernel.md").read_text(encoding="utf-8")
    assert ended.out.startswith(re.search(r"^```\n(\(Array.*?)^```", page, re.DOTALL | re.MULTILINE).group(1))
    assert "'A'" not in str([*names["prelu"].signatures, *names["prelu_backward"].signatures])  # in no other layout
    assert "Parallel loop listing" in ended.out and ended.out.count("a whole pass, recorded") == 2
    assert int(re.search(r"(\d+) lines with vectors", ended.out).group(1)) > 10
    small = names["small"]
    np.testing.assert_array_equal(names["result"], np.where(small > 0, small, np.float32([0.25, 0.5, 0.75]) * small))
    assert names["same"].shape == (8, 8, 32, 32)


# {page: (extras, what is put into its folder or None, what it ends in)}; others need nothing, and just run.
KNOWN = {
    "training.md": (["matplotlib"], None, training), "finetuning.md": ([], None, finetuning),
    "images.md": (["PIL"], photographs, images), "inside.md": ([], None, inside),
    "tables.md": (["sklearn"], houses, tables), "own_kernel.md": ([], prelu, own_kernel),
}
SLOW = {"finetuning.md"}


@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in PAGES])
def test_a_page_runs(page, tmp_path, monkeypatch, capsys):
    extras, prepare, ends = KNOWN.get(page, ([], None, None))
    for extra in extras:
        pytest.importorskip(extra)
    if "matplotlib" in extras:
        drawing()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "cifar10", lambda: data.synthetic(train=130, test=40))
    if prepare:
        prepare(tmp_path, monkeypatch)
    names = run(PAGES[page], page)
    if ends:
        ends(Ended(names, capsys.readouterr().out, tmp_path))


def test_known_pages_are_there():
    assert KNOWN.keys() <= PAGES.keys()


def statements(block):
    """All statements, those within others included, and no imports."""
    return [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.stmt)
            and not isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize("title, block, count", RECIPES, ids=[title for title, _, _ in RECIPES])
def test_recipes_are_as_short_as_they_say(title, block, count):
    assert len(statements(block)) == count
    assert not re.search(r"\._\w|import _", block)


def test_there_are_four_recipes():
    assert len(RECIPES) == 4


@pytest.mark.parametrize("page, place, most", [("images.md", 0, 9), ("inside.md", 2, 3), ("inside.md", 3, 8),
                                               *(("tables.md", place, 8) for place in range(3))])
def test_first_steps_are_few(page, place, most):
    body = [node for node in ast.parse(PAGES[page][place]).body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    assert len(body) <= most


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_short(page):
    assert [line for block in PAGES[page] for line in block.splitlines() if len(line) > 120] == []
