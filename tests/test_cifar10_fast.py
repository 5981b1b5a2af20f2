"""examples/cifar10_fast.py from end to end, on a few generated images, and the parts it is made of."""
import json
import re
from pathlib import Path

import numpy as np

from fastnet import data
from fastnet.layers import Flatten

PATH = Path(__file__).parents[1] / "examples" / "cifar10_fast.py"
QUICK = ["--data", "generated", "--limit", "192", "--widths", "8", "16", "16", "--epochs", "3"]


def test_trains_saves_and_tells_the_accuracy(example, tmp_path, capsys):
    example.main([*QUICK, "--out", str(tmp_path / "run")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("192 images to train on, 192 to test: generated")
    assert re.fullmatch(r"test accuracy: [01]\.\d{4}", lines[-1])
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["history.jsonl", "weights.npz"]
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    with np.load(tmp_path / "run" / "weights.npz") as weights:
        assert (weights["4.weight"] == 1).all() and weights["4.bias"].any()  # a batch norm: only the shift is trained


def test_judges_by_held_out_images(example, tmp_path, capsys, monkeypatch):
    """Trained on some, judged by others, and neither is a test image."""
    seen, look = [], example.look
    monkeypatch.setattr(example, "look", lambda net, images, *rest: seen.append(images) or look(net, images, *rest))
    example.main([*QUICK, "--epochs", "1", "--holdout", "0.25", "--out", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("144 images to train on, 48 held out: generated")
    assert re.fullmatch(r"held-out accuracy: [01]\.\d{4}", lines[-1])
    train, _ = data.synthetic(192, 192)
    _, held_out = data.train_val_split(train.labels, 0.25)
    np.testing.assert_array_equal(seen[0], train.images[held_out])


def test_the_first_layer_whitens(example):
    images = np.random.default_rng(0).normal(size=(40, 3, 12, 12)).astype(np.float32)
    images = images + images[:, ::-1] + np.roll(images, 1, axis=3)  # correlated channels and pixels
    layer = example.whitening(images)
    y = layer(images)
    assert y.shape == (40, 16, 12, 12) and not layer.trains()
    np.testing.assert_allclose(y[:, :8], -y[:, 8:], atol=1e-5)
    y = y[:, :8, 1:, 1:].transpose(0, 2, 3, 1).reshape(-1, 8).astype(np.float64)
    np.testing.assert_allclose(y.T @ y / len(y), np.eye(8), atol=0.02)


def test_convolutions_start_as_the_identity(example):
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(example.convolution(4, 6)(x)[:, :4], x, atol=1e-6)
    np.testing.assert_allclose(example.convolution(4, 3)(x), x[:, :3], atol=1e-6)


def test_images_grow(example):
    images = np.arange(2 * 3 * 8 * 8, dtype=np.uint8).reshape(2, 3, 8, 8)
    halves = images.reshape(2, 3, 4, 2, 4, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(example.shrunk(images, 4), halves, atol=0.5)
    np.testing.assert_array_equal(example.shrunk(images, 8), images)
    row = np.array([[[[0, 30, 90, 150]]]], np.uint8)  # thirds: 0 and a third of 30, two thirds of 30 and of 90, ...
    assert example.shrunk(row.repeat(4, axis=2), 3)[0, 0].tolist() == [[8, 60, 135]] * 3
    labels = np.zeros(2, np.int64)
    loaders = [data.DataLoader(example.shrunk(images, side), labels, 1) for side in (2, 4, 8)]
    batches = example.Growing(loaders, [1, 2])
    widths = []
    for epoch in range(5):
        batches.set_epoch(epoch)
        widths.append([x.shape[3] for x, _ in batches])
        assert loaders[(0, 1, 1, 2, 2)[epoch]].epoch == epoch + 1
    assert widths == [[2, 2], [4, 4], [4, 4], [8, 8], [8, 8]] and len(batches) == 2


def test_the_first_block_is_frozen_in_the_end(example, tmp_path, monkeypatch):
    """The last epochs change all weights but those of the first block."""
    seen = []
    monkeypatch.setattr(example.Freeze, "on_epoch_end", lambda self, trainer: seen.append(
        {name: parameter.value.copy() for name, parameter in trainer.net.named_parameters()}))
    example.main([*QUICK, "--out", str(tmp_path)])
    changed = [{name for name in before if (before[name] != after[name]).any()}
               for before, after in zip(seen, seen[1:], strict=False)]
    first = {"2.weight", "4.bias", "6.body.0.weight", "6.body.1.bias", "6.body.3.weight", "6.body.4.bias"}
    assert changed[0] - changed[1] == first and "8.weight" in changed[1]


def test_shifted_images_are_filled_by_reflection(example):
    image = np.arange(9).reshape(1, 1, 3, 3)
    assert example.shifted(image, 0, 0).tolist() == image.tolist()
    assert example.shifted(image, 1, 1)[0, 0].tolist() == [[4, 3, 4], [1, 0, 1], [4, 3, 4]]
    assert example.shifted(image, -1, 0)[0, 0].tolist() == [[3, 4, 5], [6, 7, 8], [3, 4, 5]]


def test_looks_are_shifted_and_mirrored(example):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 4), np.uint8)
    looks = example.look(Flatten(), images, np.zeros(3, np.int64), data.Normalize(np.zeros(3), np.ones(3)))
    assert len(looks) == 10 and example.SHIFTS[0] == (0, 0)
    assert set(example.SHIFTS[1:]) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    expected = [example.shifted(images, *shift) for shift in example.SHIFTS]
    for look, image in zip(looks[::2], expected, strict=True):
        np.testing.assert_array_equal(look.reshape(images.shape), image)
    for look, image in zip(looks[1::2], expected, strict=True):
        np.testing.assert_array_equal(look.reshape(images.shape), image[..., ::-1])
