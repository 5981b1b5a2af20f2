"""The examples of linear classifiers and of a search run, on few rows."""
import re
import warnings

import pytest

from tests.pages import ROOT

pytest.importorskip("sklearn")


def run(name, *changes, monkeypatch):
    """Run an example with numbers replaced in its text."""
    text = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    monkeypatch.delenv("FASTNET_DATA", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, f"{name}.py", "exec"), {"__name__": "example"})


def test_linear_classifiers(monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    run("linear_classifiers", ("2_000, 1_000", "150, 60"), ("max_iter=20", "max_iter=2"),
        ("steps=400", "steps=1"), monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert "step   0: loss 9.000" in out and "step   0: loss 2.303" in out
    assert len(re.findall(r"by hand: accuracy 0\.", out)) == 2
    assert len(re.findall(r"by library: accuracy 0\.", out)) == 3
    assert [len(ax.images) for ax in pyplot.gcf().axes] == [1] * 4
    pyplot.close("all")


def test_grid_search(monkeypatch, capsys):
    run("grid_search", ("1_797, 20", "300, 2"), ("n_jobs=2", "n_jobs=None"), ("(8, 16)", "(4,)"),
        ("[0.001, 0.003, 0.01]", "[0.01]"), monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert re.search(r"^    4           0\.01  0\.\d+ \+- 0\.\d+$", out, re.MULTILINE)
    assert re.search(r"accuracy on the test rows: 0\.[1-9]", out)
