"""The blocks of the documents on training and fine-tuning run one after the other, and are as short as they say."""
import ast
import re
from pathlib import Path

import pytest

import fastnet
from fastnet import data

DOCS = Path(__file__).parents[1] / "docs"
NUMBERS = {"two": 2, "five": 5, "six": 6, "eight": 8}
SECTIONS = {name: re.findall(r"^## (.*)\n(?:(?!^## ).*\n)*?```python\n((?:.*\n)*?)```", (DOCS / name).read_text(
    encoding="utf-8"), re.MULTILINE) for name in ("training.md", "finetuning.md")}
RECIPES = [(title, block, NUMBERS[found.group(1)]) for sections in SECTIONS.values() for title, block in sections
           if (found := re.search(r"in (\w+) statements", title))]


def statements(block):
    """All statements, those within others included, and no imports."""
    return [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.stmt)
            and not isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize("title, block, count", RECIPES, ids=[title for title, _, _ in RECIPES])
def test_recipes_are_as_short_as_they_say(title, block, count):
    assert len(statements(block)) == count
    assert all(len(line) <= 100 for line in block.splitlines())
    assert not re.search(r"\._\w|import _", block)


def test_there_are_four_recipes():
    assert len(RECIPES) == 4


@pytest.mark.parametrize("name", ["training.md", pytest.param("finetuning.md", marks=pytest.mark.slow)])
def test_all_blocks_run_one_after_the_other(name, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "cifar10", lambda: data.synthetic(train=130, test=40))
    namespace = {"__name__": "docs"}
    for block in re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL | re.M):
        exec(compile(block, name, "exec"), namespace)
    from matplotlib import pyplot
    pyplot.close("all")
    if name == "training.md":
        assert {path.name for path in tmp_path.glob("*.png")} == {"rates.png", "curves.png", "confusion.png",
                                                                  "wrong.png", "where.png", "net.png"}
        assert "all gradients are right" in capsys.readouterr().out and namespace["scores"].shape == (40, 10)
        assert [len(namespace["snapshots"].nets), len(namespace["history"])] == [2, 2]
        assert "val_worst" in namespace["stop"].monitor
    else:
        frozen = [layer for _, layer in namespace["net"].named_layers() if getattr(layer, "frozen", False)]
        assert frozen and all(isinstance(layer, fastnet.BatchNorm2d) for layer in frozen)
        assert namespace["features"].shape == (65, 64) and namespace["accuracy"] > 0.5
