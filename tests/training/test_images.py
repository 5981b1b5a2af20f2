"""What a net says of image files."""
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

import fastnet  # noqa: E402  (needs Pillow)
from fastnet import predict_images  # noqa: E402
from fastnet.data import ImageFiles, ImageFolder, Normalize  # noqa: E402

NORMALIZE = Normalize([100.0] * 3, [50.0] * 3)


def photographs(folder, count=10, size=(40, 50)):
    """Two classes: red above and blue below, or the other way, with noise."""
    rng = np.random.default_rng(0)
    for i in range(count):
        image = rng.integers(0, 120, (*size, 3), np.uint8)
        image[:size[0] // 2, :, (0, 2)[i % 2]] += 130
        image[size[0] // 2:, :, (2, 0)[i % 2]] += 130
        place = folder / ("day", "night")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:03}.{('jpg', 'png')[i // 2 % 2]}")
    return folder


def net(channels=3, classes=2):
    fastnet.manual_seed(0)
    return fastnet.Sequential(fastnet.AdaptiveAvgPool2d(2), fastnet.Flatten(), fastnet.Linear(4 * channels, classes))


@pytest.fixture
def files(tmp_path):
    return ImageFolder(photographs(tmp_path / "photographs"), 8)


def test_the_most_probable_classes_in_order(files):
    model, images = net(classes=5), files.load()[0]
    logits = model(NORMALIZE(images)).astype(float)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = predict_images(model, files.paths, 8, NORMALIZE, list("abcde"), top=3)
    assert len(found) == 10 and all(len(one) == 3 for one in found)
    for rows, share in zip(found, shares, strict=True):
        assert [name for name, _ in rows] == ["abcde"[c] for c in np.argsort(-share)[:3]]
        np.testing.assert_allclose([value for _, value in rows], np.sort(share)[::-1][:3], rtol=1e-5)
    alone, = predict_images(model, files.paths[3], (8, 8), NORMALIZE, list("abcde"), top=3)
    assert dict(alone) == pytest.approx(dict(found[3]))
    assert predict_images(model, [Path(files.paths[3])], 8, top=99)[0][0][0] in range(5)
    already = fastnet.Sequential(model, fastnet.Softmax())
    for rows, same in zip(predict_images(already, files.paths, 8, NORMALIZE, top=3), found, strict=True):
        np.testing.assert_allclose([value for _, value in rows], [value for _, value in same], rtol=1e-5)


def test_the_names_and_the_form_of_a_data_set(files):
    found = predict_images(net(1), ImageFolder(files.folder, 8, channels=1), top=1)
    assert len(found) == 10 and all(one[0][0] in ("day", "night") and 0.5 <= one[0][1] <= 1 for one in found)


def test_damaged_files(files, tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"none")
    paths = [files.paths[0], str(tmp_path / "b.jpg"), files.paths[1]]
    with pytest.raises(ValueError, match=r"b\.jpg: cannot be read as an image: it is no JPEG"):
        predict_images(net(), paths, 8)
    with pytest.warns(UserWarning, match="1 of 3 files"):
        found = predict_images(net(), ImageFiles(paths, size=8, errors="skip"))
    assert [len(one) for one in found] == [2, 0, 2] and found[::2] == predict_images(net(), paths[::2], 8)


@pytest.mark.parametrize(("given", "error", "message"), [
    ({"paths": "none.jpg"}, FileNotFoundError, "1 of 1 files are not there, 'none.jpg' first"),
    ({"size": None}, ValueError, "predict_images: size must be given"),
    ({"classes": ["a"]}, ValueError, "predict_images: classes must be 2 names, as many as the net gives scores, got 1"),
    ({"classes": "ab"}, TypeError, "predict_images: classes must be a list of names"),
    ({"top": 0}, ValueError, "predict_images: top must be an integer of at least 1, got 0"),
    ({"net": 3}, TypeError, "predict_images: net must be a net"),
    ({"net": lambda x: x}, ValueError, r"predict_images: net must give a score for each of two classes or more")])
def test_bad_arguments(files, given, error, message):
    with pytest.raises(error, match=message):
        predict_images(**{"net": net(), "paths": files.paths, "size": 8} | given)
    with pytest.raises(ValueError, match="size must be None where paths are ImageFiles"):
        predict_images(net(), files, 8)
