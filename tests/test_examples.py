"""The short examples from end to end, with fewer steps and images, and what they end in."""
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, folder, monkeypatch, constants=""):
    """The names that an example leaves, run with the line of its constants exchanged."""
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(folder)
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    if constants:
        left, right = constants.split(" = ")
        text, count = re.subn(rf"^{left} = .*$", constants, text, flags=re.M)
        assert count == 1
    namespace = {"__name__": name}
    exec(compile(text, f"{name}.py", "exec"), namespace)
    from matplotlib import pyplot
    pyplot.close("all")
    return namespace


def pictures(folder):
    return sorted(path.name for path in folder.glob("*.png"))


def test_two_layer_net(tmp_path, monkeypatch):
    found = run("two_layer_net", tmp_path, monkeypatch, "HIDDEN, STEPS, RATE, DECAY = 20, 30, 0.3, 5e-4")
    assert found["difference"] < 1e-9 and found["by_hand"][-1] < found["by_hand"][0]
    assert pictures(tmp_path) == ["two_layer_net.png"]


def test_layers_by_hand(tmp_path, monkeypatch, capsys):
    found = run("layers_by_hand", tmp_path, monkeypatch)
    assert len(found["rows"]) == 9 and "BatchNorm1d" in capsys.readouterr().out


def test_custom_layer(tmp_path, monkeypatch, capsys):
    found = run("custom_layer", tmp_path, monkeypatch, "STEPS = 50")
    assert found["found"].passed and found["history"][-1]["loss"] < found["history"][0]["loss"]
    assert pictures(tmp_path) == ["custom_layer.png"] and "1.a" in capsys.readouterr().out


@pytest.mark.slow
def test_optimiser_race(tmp_path, monkeypatch):
    found = run("optimiser_race", tmp_path, monkeypatch, "WAY, IMAGES, EPOCHS = 10, 80, 1")
    assert set(found["histories"]) == set(found["RACERS"]) == set(found["ways"])
    assert pictures(tmp_path) == ["optimiser_race.png", "optimiser_ways.png"]


@pytest.mark.slow
def test_transfer_learning(tmp_path, monkeypatch):
    found = run("transfer_learning", tmp_path, monkeypatch, "MANY, FEW, EPOCHS = 50, 20, 1")
    assert len(found["new"]) == 20 and found["new"].labels.min() >= 5
    assert pictures(tmp_path) == ["transfer_learning.png"]
    assert not any(getattr(layer, "frozen", False) for _, layer in found["tuned"].named_layers())
