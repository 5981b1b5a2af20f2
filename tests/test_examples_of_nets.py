"""The examples about nets from end to end, with fewer images and steps, and what they end in."""
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, folder, monkeypatch, constants):
    """The names that an example leaves, run with the line of its constants exchanged."""
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(folder)
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    text, count = re.subn(rf"^{constants.partition(' = ')[0]} = .*$", constants, text, flags=re.MULTILINE)
    assert count == 1
    found = {"__name__": name}
    exec(compile(text, f"{name}.py", "exec"), found)
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return found


def test_residual_and_inception(tmp_path, monkeypatch, capsys):
    found = run("residual_and_inception", tmp_path, monkeypatch, "IMAGES, EPOCHS = 100, 1")
    *_, plain, residual, inception = capsys.readouterr().out.splitlines()
    assert plain.startswith("plain ") and residual.startswith("residual ") and inception.startswith("inception ")
    assert [len(history.rows) for history in found["histories"].values()] == [1, 1, 1]


def test_segmentation_unet(tmp_path, monkeypatch, capsys):
    found = run("segmentation_unet", tmp_path, monkeypatch, "IMAGES, EPOCHS = 40, 1")
    assert found["scores"].shape == (10, 3, 32, 32) and 0 <= found["iou"] <= 1
    assert "mean intersection over union" in capsys.readouterr().out.splitlines()[-1]


def test_localisation(tmp_path, monkeypatch, capsys):
    found = run("localisation", tmp_path, monkeypatch, "IMAGES, EPOCHS = 60, 1")
    assert found["boxes"].shape == (15, 4) and ((found["overlaps"] >= 0) & (found["overlaps"] <= 1)).all()
    boxes = found["test_truth"]["box"]
    assert found["overlap"](boxes, boxes) == pytest.approx(1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("test images: classes ")


def test_char_rnn(tmp_path, monkeypatch, capsys):
    found = run("char_rnn", tmp_path, monkeypatch, "STEPS, LENGTH = 5, 16")
    assert found["rows"][-1]["loss"] < found["rows"][0]["loss"]
    assert found["written"].startswith("    def ") and len(found["written"]) == 13
