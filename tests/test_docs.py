"""The Python of every page in docs/ runs as it stands there, and recipes are as short as they say."""
import re
import sys

import numpy as np
import pytest

import fastnet
from fastnet import data
from tests.pages import DOCS, blocks, run, sections, statements, text

PAGES = sorted(path.name for path in DOCS.glob("*.md") if blocks(path.name))
NUMBERS = {name: number for number, name in enumerate(
    ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 2)}
RECIPES = [(page, title, block, NUMBERS[found.group(1)]) for page in PAGES for title, block in sections(page)
           if (found := re.search(r"in (\w+) statements", title))]


@pytest.mark.parametrize("page, title, block, count", RECIPES, ids=[title for _, title, _, _ in RECIPES])
def test_recipes_are_as_short_as_they_say(page, title, block, count):
    assert statements(block) == count
    assert all(len(line) <= 100 for line in block.splitlines())


def test_blocks_use_public_names():
    assert len(RECIPES) >= 11
    for page in PAGES:
        for block in blocks(page):
            assert all(len(line) <= 120 for line in block.splitlines()), page
            assert not re.search(r"\._\w|import _", block), page


def test_links_lead_somewhere():
    for path in DOCS.glob("*.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text(path.name)):
            assert (DOCS / link).exists(), (path.name, link)


@pytest.fixture
def page(request, tmp_path, monkeypatch):
    """The name of a page, in a folder that has what it needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "cifar10", lambda: data.synthetic(train=130, test=40))
    pyplot = pytest.importorskip("matplotlib.pyplot")
    PREPARE.get(request.param, lambda *_: None)(tmp_path, monkeypatch)
    yield request.param
    pyplot.close("all")
    sys.modules.pop("prelu", None)


@pytest.mark.parametrize("page", [pytest.param(name, marks=pytest.mark.slow) if name == "finetuning.md" else name
                                  for name in PAGES], indirect=True)
def test_page_runs(page, tmp_path, capsys):
    if page == "tables.md":     # each recipe by itself
        scope = {}
        for block in blocks(page):
            scope = run([block], page)
    else:
        scope = run(blocks(page), page)
    CHECK.get(page, lambda *_: None)(scope, capsys.readouterr().out, tmp_path)


def prepare_images(folder, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    from tests.training.test_images import photographs
    photographs(folder / "photographs", 40)
    image.open(folder / "photographs" / "day" / "000.jpg").save(folder / "new.jpg")
    (folder / "list.csv").write_text("path,label\nphotographs/day/000.jpg,day\nphotographs/night/001.jpg,night\n")


def prepare_kernel(folder, monkeypatch):
    example = blocks("README.md")[-1]
    (folder / "prelu.py").write_text(example[:example.index("\nnet = ")], encoding="utf-8")
    monkeypatch.syspath_prepend(folder)


def prepare_tables(folder, monkeypatch):
    x, y = pytest.importorskip("sklearn.datasets").load_diabetes(return_X_y=True)
    np.savetxt(folder / "houses.csv", np.column_stack([x, y]), delimiter=",", header="columns")


PREPARE = {"images.md": prepare_images, "own_kernel.md": prepare_kernel, "tables.md": prepare_tables}


def check_finetuning(scope, out, folder):
    frozen = [layer for _, layer in scope["net"].named_layers() if getattr(layer, "frozen", False)]
    assert frozen and all(isinstance(layer, fastnet.BatchNorm2d) for layer in frozen)
    assert scope["features"].shape == (65, 64) and scope["accuracy"] > 0.5


def check_images(scope, out, folder):
    (best, share), _ = scope["found"]
    assert best == "day" and share > 0.5


def check_inside(scope, out, folder):
    assert scope["saliency"].shape == scope["cam"].shape == (4, 32, 32) and scope["dead"].shape == (32,)
    assert set(scope["norms"]) == {name for name, layer in scope["net"].named_layers() if not layer.composed}
    assert all(len(norms) == 2 for norms in scope["norms"].values())
    assert out.startswith("training, x of shape (4, 3, 32, 32), float32")


def check_kernel(scope, out, folder):
    shown = re.search(r"^```\n(\(Array.*?)^```", text("own_kernel.md"), re.S | re.M).group(1)
    assert out.startswith(shown)
    for kernel in (scope["prelu"], scope["prelu_backward"]):
        assert "'A'" not in str(kernel.signatures)      # never in another layout
    assert "Parallel loop listing" in out and out.count("a whole pass, recorded") == 2
    assert int(re.search(r"(\d+) lines with vectors", out).group(1)) > 10
    np.testing.assert_array_equal(scope["result"], np.where(scope["small"] > 0, scope["small"], np.float32(
        [0.25, 0.5, 0.75]) * scope["small"]))
    assert scope["same"].shape == (8, 8, 32, 32)


def check_several(scope, out, folder):
    assert scope["said"]["kind"].shape == (64, 3) and scope["said"]["size"].shape == (64, 1)
    assert 0 <= scope["history"][-1]["val_kind"] <= 1
    weights = scope["loss"].weights
    assert weights == {"kind": 1.0, "size": 0.5}


def check_tables(scope, out, folder):
    assert re.search(r"R2 0\.[2-9]\d+, first row.*^0\.9.*AUC 0\.9[89].*val_accuracy", out, re.S | re.M)


def check_training(scope, out, folder):
    assert {path.name for path in folder.glob("*.png")} == {"rates.png", "curves.png", "confusion.png", "wrong.png",
                                                            "where.png", "net.png"}
    assert out.count("all gradients are right") == 2 and scope["scores"].shape == (40, 10)
    assert [len(scope["snapshots"].nets), len(scope["history"])] == [2, 1]
    assert "val_worst" in scope["stop"].monitor


CHECK = {"finetuning.md": check_finetuning, "images.md": check_images, "inside.md": check_inside,
         "own_kernel.md": check_kernel, "several.md": check_several, "tables.md": check_tables,
         "training.md": check_training}
