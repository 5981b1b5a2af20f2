"""docs/tables.md runs as it stands, on few rows."""
import ast
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_diabetes  # noqa: E402

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "tables.md").read_text(encoding="utf-8"),
                    re.DOTALL | re.MULTILINE)
TOLD = {"regression": (0, r"R2 0\.[2-9]\d+, first row"), "digits": (1, r"^0\.9"), "binary": (2, r"AUC 0\.9[89]"),
        "search": (3, r"val_accuracy")}


@pytest.mark.parametrize("name", TOLD)
def test_recipe(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, y = load_diabetes(return_X_y=True)
    np.savetxt("houses.csv", np.column_stack([x, y]), delimiter=",", header="columns")
    place, expected = TOLD[name]
    exec(compile(BLOCKS[place], "tables.md", "exec"), {"__name__": "recipe"})
    assert re.search(expected, capsys.readouterr().out)


def test_recipes_are_short():
    assert len(BLOCKS) == len(TOLD)
    for block in BLOCKS[:3]:
        statements = [one for one in ast.parse(block).body if not isinstance(one, (ast.Import, ast.ImportFrom))]
        assert len(statements) <= 8
    assert all(len(line) <= 100 for block in BLOCKS for line in block.splitlines())
