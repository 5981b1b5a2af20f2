"""The examples from end to end, with fewer steps and images, and what they end in. Programs with arguments,
train_cifar10.py, cifar10_fast.py and several_processes.py, have tests of their own."""
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
WITH_ARGUMENTS = {"train_cifar10", "cifar10_fast", "several_processes"}


def run(name, folder, monkeypatch, *constants):
    """The names that an example leaves, run with lines of its constants exchanged."""
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot
    pyplot.close("all")     # those of the example before
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FASTNET_DATA", raising=False)
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    for line in constants:
        text, count = re.subn(rf"^{line.partition(' = ')[0]} = .*$", line, text, flags=re.MULTILINE)
        assert count == 1
    found = {"__name__": name}
    exec(compile(text, f"{name}.py", "exec"), found)
    return found


def pictures(folder):
    found = sorted(folder.glob("*.png"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found)
    return [path.name for path in found]


def test_every_example_is_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert {name.removeprefix("test_") for name in globals() if name.startswith("test_")} & names == (
        names - WITH_ARGUMENTS)


def test_two_layer_net(tmp_path, monkeypatch):
    found = run("two_layer_net", tmp_path, monkeypatch, "HIDDEN, STEPS, RATE, DECAY = 20, 30, 0.3, 5e-4")
    assert found["difference"] < 1e-9 and found["by_hand"][-1] < found["by_hand"][0]
    assert pictures(tmp_path) == ["two_layer_net.png"]


@pytest.mark.slow
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


@pytest.mark.slow
def test_residual_and_inception(tmp_path, monkeypatch, capsys):
    found = run("residual_and_inception", tmp_path, monkeypatch, "IMAGES, EPOCHS = 100, 1")
    assert pictures(tmp_path) == ["residual_and_inception.png"]
    *_, plain, residual, inception = capsys.readouterr().out.splitlines()
    assert plain.startswith("plain ") and residual.startswith("residual ") and inception.startswith("inception ")
    assert [len(history.rows) for history in found["histories"].values()] == [1, 1, 1]


@pytest.mark.slow
def test_segmentation_unet(tmp_path, monkeypatch, capsys):
    found = run("segmentation_unet", tmp_path, monkeypatch, "IMAGES, EPOCHS = 40, 1")
    assert pictures(tmp_path) == ["segmentation_unet.png"]
    assert found["scores"].shape == (10, 3, 32, 32) and 0 <= found["iou"] <= 1
    assert "mean intersection over union" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.slow
def test_localisation(tmp_path, monkeypatch, capsys):
    found = run("localisation", tmp_path, monkeypatch, "IMAGES, EPOCHS = 60, 1")
    assert pictures(tmp_path) == ["localisation.png"]
    assert found["boxes"].shape == (15, 4) and ((found["overlaps"] >= 0) & (found["overlaps"] <= 1)).all()
    boxes = found["test_truth"]["box"]
    assert found["overlap"](boxes, boxes) == pytest.approx(1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("test images: classes ")


@pytest.mark.slow
def test_char_rnn(tmp_path, monkeypatch, capsys):
    found = run("char_rnn", tmp_path, monkeypatch, "STEPS, LENGTH = 5, 16")
    assert pictures(tmp_path) == ["char_rnn.png"]
    assert found["rows"][-1]["loss"] < found["rows"][0]["loss"]
    assert found["written"].startswith("    def ") and len(found["written"]) == 13


@pytest.mark.slow
def test_linear_classifiers(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    run("linear_classifiers", tmp_path, monkeypatch, "TRAIN, TEST, STEPS, EPOCHS = 150, 60, 1, 2")
    out = capsys.readouterr().out
    assert "step   0: loss 9.000" in out and "step   0: loss 2.303" in out
    assert len(re.findall(r"by hand: accuracy 0\.", out)) == 2
    assert len(re.findall(r"by library: accuracy 0\.", out)) == 3
    from matplotlib import pyplot
    assert pictures(tmp_path) == ["linear_classifiers.png"] and [len(ax.images) for ax in pyplot.gcf().axes] == [1] * 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* is ill-defined")    # after two epochs some class is never said
def test_grid_search(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    run("grid_search", tmp_path, monkeypatch, "ROWS, EPOCHS, JOBS = 300, 2, None", "WIDTHS, RATES = (4,), (0.01,)")
    out = capsys.readouterr().out
    assert re.search(r"^    4           0\.01  0\.\d+ \+- 0\.\d+$", out, re.MULTILINE)
    assert re.search(r"accuracy on the test rows: 0\.[1-9]", out)


def tells(lines, wanted):
    assert len(lines) == len(wanted) and all(map(str.startswith, lines, wanted))
    assert all(0 <= float(share) <= 100 for line in lines for share in re.findall(r"([\d.]+)%", line))


def test_knn(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    run("knn", tmp_path, monkeypatch, "TRAIN, TEST = 120, 20")
    tells(capsys.readouterr().out.splitlines(), [
        "120 images to compare with, 20 to test: generated images",
        *[f"k = {k:2}: " for k in (1, 3, 5, 8, 10, 20, 50)], "with k = "])
    assert pictures(tmp_path) == ["knn.png"]


@pytest.mark.slow
def test_features(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    run("features", tmp_path, monkeypatch, "TRAIN, TEST, EPOCHS = 200, 40, 2")
    tells(capsys.readouterr().out.splitlines(), [
        "200 images to train on, 40 to test: generated images", "334 numbers an image instead of 3,072", "pixels: ",
        "features: "])
    assert pictures(tmp_path) == ["features.png"]
