"""Folders and random windows as torchvision has them, where that is installed."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

from fastnet.data import ImageFolder  # noqa: E402  (needs Pillow)
from fastnet.data.windows import window_draws, windows  # noqa: E402
from tests import vision  # noqa: E402

datasets, transforms = vision.torchvision().datasets, vision.torchvision().transforms


@pytest.fixture
def folder(tmp_path):
    """Nine images in three classes."""
    rng = np.random.default_rng(0)
    for i in range(9):
        place = tmp_path / "images" / "abc"[i % 3] / ("more" if i > 6 else "")
        place.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(coarse).resize((64, 32 * 2 ** (i % 3)), Image.Resampling.BICUBIC).save(place / f"{i}.png")
    return tmp_path / "images"


def test_a_folder(folder):
    theirs, ours = datasets.ImageFolder(folder), ImageFolder(folder)
    assert list(zip(ours.paths, ours.labels, strict=True)) == theirs.samples
    assert ours.class_to_idx == theirs.class_to_idx


def test_the_middle(folder):
    """To a unit of 255, where torchvision's cut, which it rounds to whole pixels, needs no rounding."""
    chain = transforms.Compose([transforms.Resize(16), transforms.CenterCrop(16), transforms.PILToTensor()])
    theirs = datasets.ImageFolder(folder, chain)
    for (x, _), (y, _) in zip(ImageFolder(folder, 16), theirs, strict=True):
        assert np.abs(x.astype(int) - y.numpy()).max() <= 1


def test_windows():
    crop = transforms.RandomResizedCrop
    torch.manual_seed(0)
    image, arguments = torch.zeros(3, 50, 80), {"scale": [0.08, 1.0], "ratio": [3 / 4, 4 / 3]}
    theirs = np.array([crop.get_params(image, **arguments) for _ in range(3000)])
    ours = windows(window_draws(0, 0, np.arange(3000)), 50, 80, (0.08, 1), (3 / 4, 4 / 3))
    for column in range(4):
        for share in (0.1, 0.5, 0.9):
            assert abs(np.quantile(theirs[:, column], share) - np.quantile(ours[:, column], share)) <= 3
