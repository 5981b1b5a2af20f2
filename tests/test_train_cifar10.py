"""examples/train_cifar10.py from end to end, on a few generated images."""
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnet

PATH = Path(__file__).parents[1] / "examples" / "train_cifar10.py"
QUICK = ["--data", "generated", "--limit", "192", "--batch-size", "64", "--model", "lenet5", "--epochs", "2"]


def test_trains_saves_draws_and_tells_the_accuracy(example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    example.main([*QUICK, "--out", str(tmp_path / "run")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("173 images to train on, 19 held out, 192 to test: generated")
    assert any(line.startswith("total") and "62,006" in line for line in lines)  # the summary
    assert re.fullmatch(r"test accuracy: [01]\.\d{4}", lines[-1])

    files = {file.name: file for file in (tmp_path / "run").iterdir()}
    assert sorted(files) == ["confusion.png", "curves.png", "filters.png", "history.jsonl", "weights.npz"]
    for name in ("confusion.png", "curves.png", "filters.png"):
        assert files[name].read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in files["history.jsonl"].read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]

    # The saved weights give what was watched, held-out images, each alone, and what was told, test images with mirror
    # images.
    net = fastnet.models.lenet5(10)
    fastnet.load_weights(net, files["weights.npz"])
    whole, test = fastnet.data.synthetic(192, 192)
    train, held_out = (whole[part] for part in fastnet.data.train_val_split(whole.labels, 0.1))
    normalize = fastnet.data.Normalize.per_channel(train.images)
    alone, mirrored = ((fastnet.predict(net, fastnet.data.DataLoader(part, batch_size=256, normalize=normalize),
                                        flip=flip).argmax(axis=1) == part.labels).mean()
                       for part, flip in ((held_out, False), (test, True)))
    assert rows[-1]["val_accuracy"] == pytest.approx(alone, abs=1e-9)
    assert lines[-1] == f"test accuracy: {mirrored:.4f}"


def test_nothing_held_out(example, tmp_path, capsys):
    example.main([*QUICK, "--epochs", "1", "--holdout", "0", "--out", str(tmp_path)])
    assert "192 images to train on, 0 held out" in capsys.readouterr().out
    row = json.loads((tmp_path / "history.jsonl").read_text())
    assert row["val_loss"] is None and (tmp_path / "curves.png").exists()


@pytest.mark.slow
def test_one_seed_fixes_everything(example, tmp_path, capsys):
    histories = []
    for run, seed in enumerate("334"):
        out = tmp_path / str(run)
        example.main([*QUICK, "--epochs", "1", "--seed", seed, "--out", str(out)])
        row = json.loads((out / "history.jsonl").read_text())
        histories.append((row["loss"], row["val_loss"]))
    assert histories[0] == histories[1] != histories[2]


def test_without_matplotlib_it_says_so_and_goes_on(example, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    example.main([*QUICK, "--optimizer", "adam", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert 'pip install "fastnet-numba[plot]"' in out
    assert out.splitlines()[-1].startswith("test accuracy: ")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["history.jsonl", "weights.npz"]


@pytest.mark.slow
def test_reads_the_folder_it_is_given(example, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ["test_batch.bin", *(f"data_batch_{i}.bin" for i in range(1, 6))]:
        records = rng.integers(0, 256, (40, 3073), np.uint8)
        records[:, 0] = np.arange(40) % 10
        (tmp_path / name).write_bytes(records.tobytes())
    example.main(["--data", str(tmp_path), "--limit", "150", "--epochs", "1", "--model", "lenet5", "--out",
                  str(tmp_path / "run")])
    assert f"135 images to train on, 15 held out, 40 to test: {tmp_path}" in capsys.readouterr().out
