"""``python -m fastnet train`` and ``python -m fastnet predict``."""
import re

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

import fastnet  # noqa: E402  (needs Pillow)
from fastnet.__main__ import main  # noqa: E402
from tests.training.test_images import photographs  # noqa: E402

QUICK = "--model", "lenet5", "--size", "32", "--batch-size", "16", "--lr", "0.003"


def test_a_folder_of_images_and_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "photographs", 40)
    assert main(["train", "photographs", *QUICK, "--epochs", "8"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("lenet5 on 32 images of 2 classes, 8 held out\n") and out.count("epoch ") == 8
    loss, accuracy = re.search(r"model.safetensors: loss and accuracy .*: (\S+) (\S+)\n$", out).groups()
    assert float(accuracy) > 0.9
    images = "photographs/night/001.jpg", "photographs/day/000.jpg"
    assert main(["predict", "model.safetensors", *images, "--top", "1"]) == 0
    night, day = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"photographs/night/001.jpg  night 0.[5-9]\d\d|.*1.000", night) and "  day " in day
    model = fastnet.load_model("model.safetensors")
    assert model.classes == ("day", "night") and model.input_shape == (3, 32, 32)
    again = fastnet.predict_images(model.net, "photographs/day/000.jpg", 32, model.normalize, model.classes, 1)
    assert again == fastnet.predict_images(model, "photographs/day/000.jpg", top=1)


def test_a_training_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "photographs", 20)
    for name, epochs in (("whole", ["3"]), ("parts", ["3", "3"])):
        for number in epochs:
            main(["train", "photographs", *QUICK, "--epochs", number, "--checkpoints", name, "--out",
                  f"{name}.safetensors"])
    assert "epoch   3" in capsys.readouterr().out
    one, other = (fastnet.load_model(f"{name}.safetensors").net.state_dict() for name in ("whole", "parts"))
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value)


@pytest.mark.parametrize("given, message", [
    (["train", "nowhere"], "ImageFolder: folder 'nowhere' is no folder"),
    (["train", "nowhere", "--model", "lenet6"], "argument --model: invalid choice: 'lenet6'"),
    (["predict", "nothing.safetensors", "a.jpg"], "load_model: nothing.safetensors: no such file"),
    (["predict", "nothing.safetensors"], "the following arguments are required: images"),
])
def test_refused(given, message, capsys):
    with pytest.raises(SystemExit):
        main(given)
    assert message in capsys.readouterr().err
