"""The short examples from end to end, with fewer steps and images, and what they end in."""
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, folder, monkeypatch, constants=""):
    """The names that an example leaves, run on generated images with the line of its constants exchanged."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FASTNET_DATA", raising=False)
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    if constants:
        text, count = re.subn(rf"^{constants.partition(' = ')[0]} = .*$", constants, text, flags=re.MULTILINE)
        assert count == 1
    namespace = {"__name__": name}
    with pyplot.rc_context({"backend": "Agg"}):
        exec(compile(text, f"{name}.py", "exec"), namespace)
        pyplot.close("all")
    return namespace


def pictures(folder):
    """The names of the PNG files that are there."""
    found = sorted(folder.rglob("*.png"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found)
    return [path.name for path in found]


def test_two_layer_net(tmp_path, monkeypatch):
    found = run("two_layer_net", tmp_path, monkeypatch, "HIDDEN, STEPS, RATE, DECAY = 20, 30, 0.3, 5e-4")
    assert found["difference"] < 1e-9 and found["by_hand"][-1] < found["by_hand"][0]
    assert pictures(tmp_path) == ["two_layer_net.png"]


def test_layers_by_hand(tmp_path, monkeypatch, capsys):
    found = run("layers_by_hand", tmp_path, monkeypatch)
    assert len(found["rows"]) == 9 and "BatchNorm1d" in capsys.readouterr().out


@pytest.mark.slow
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


@pytest.mark.parametrize("name, constants, wanted", [
    ("knn", "TRAIN, TEST = 120, 20",
     ["120 images to compare with, 20 to test: generated images", *[f"k = {k:2}: " for k in (1, 3, 5, 8, 10, 20, 50)],
      "with k = "]),
    pytest.param("features", "TRAIN, TEST, EPOCHS = 200, 40, 2",
                 ["200 images to train on, 40 to test: generated images", "334 numbers an image instead of 3,072",
                  "pixels: ", "features: "], marks=pytest.mark.slow),
])
def test_examples_of_features(name, constants, wanted, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    run(name, tmp_path, monkeypatch, constants)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(wanted) and all(map(str.startswith, lines, wanted))
    assert all(0 <= float(share) <= 100 for line in lines for share in re.findall(r"([\d.]+)%", line))
    assert pictures(tmp_path) == [f"{name}.png"]


@pytest.mark.slow
def test_linear_classifiers(tmp_path, monkeypatch, capsys):
    found = run("linear_classifiers", tmp_path, monkeypatch, "TRAIN, TEST = 200, 50")
    out = capsys.readouterr().out
    assert all(f"{name} by library: accuracy " in out for name in found["classifiers"])
    assert "step   0: loss 9.000" in out and "step   0: loss 2.303" in out
    assert pictures(tmp_path) == ["linear_classifiers.png"]


@pytest.mark.slow
def test_grid_search(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    text = (EXAMPLES / "grid_search.py").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # Other processes read the net from a module, which a text that is run here is not: so one process alone.
    for given, short in (("ROWS, EPOCHS = 1_797, 12", "ROWS, EPOCHS = 300, 3"), ("n_jobs=2", "n_jobs=None")):
        assert given in text
        text = text.replace(given, short)
    exec(compile(text, "grid_search.py", "exec"), {"__name__": "grid_search"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "width  learning rate  accuracy"
    accuracies = [float(line.split()[2]) for line in lines[1:7]]
    assert accuracies == sorted(accuracies, reverse=True) and lines[-1].startswith("accuracy on the test rows: ")


@pytest.mark.slow
def test_residual_and_inception(tmp_path, monkeypatch, capsys):
    found = run("residual_and_inception", tmp_path, monkeypatch, "IMAGES, EPOCHS = 100, 1")
    *_, plain, residual, inception = capsys.readouterr().out.splitlines()
    assert plain.startswith("plain ") and residual.startswith("residual ") and inception.startswith("inception ")
    assert [len(history.rows) for history in found["histories"].values()] == [1, 1, 1]
    assert pictures(tmp_path) == ["residual_and_inception.png"]


@pytest.mark.slow
def test_segmentation_unet(tmp_path, monkeypatch, capsys):
    found = run("segmentation_unet", tmp_path, monkeypatch, "IMAGES, EPOCHS = 40, 1")
    assert found["scores"].shape == (10, 3, 32, 32) and 0 <= found["iou"] <= 1
    assert "mean intersection over union" in capsys.readouterr().out.splitlines()[-1]
    assert pictures(tmp_path) == ["segmentation_unet.png"]


@pytest.mark.slow
def test_localisation(tmp_path, monkeypatch, capsys):
    found = run("localisation", tmp_path, monkeypatch, "IMAGES, EPOCHS = 60, 1")
    assert found["boxes"].shape == (15, 4) and ((found["overlaps"] >= 0) & (found["overlaps"] <= 1)).all()
    boxes = found["test_truth"]["box"]
    assert found["overlap"](boxes, boxes) == pytest.approx(1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("test images: classes ")
    assert pictures(tmp_path) == ["localisation.png"]


@pytest.mark.slow
def test_char_rnn(tmp_path, monkeypatch, capsys):
    found = run("char_rnn", tmp_path, monkeypatch, "STEPS, LENGTH = 5, 16")
    assert found["rows"][-1]["loss"] < found["rows"][0]["loss"]
    assert found["written"].startswith("    def ") and len(found["written"]) == 13
    assert pictures(tmp_path) == ["char_rnn.png"]
