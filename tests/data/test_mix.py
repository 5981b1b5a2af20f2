"""Rotation, windows, noise and mixtures, against NumPy and Pillow, and what they make of targets."""
import numpy as np
import pytest

from fastnet import CrossEntropyLoss
from fastnet.data import Augment, DataLoader, Dataset, Normalize
from fastnet.data.augment import still
from fastnet.data.draws import permutation, random_numbers, random_shares
from fastnet.data.fill import fill_batch
from fastnet.data.mix import mixtures
from fastnet.data.moved import moved_boxes, moved_masks
from fastnet.data.normalize import Terms
from fastnet.kernels.cpu.runtime import empty_images

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (40, 3, 9, 12), np.uint8)
LABELS = np.arange(40) % 4
TURNS = np.array([[0.3, 0, 0, 9, 12], [-2.9, 1, 2, 5, 7], [0, 0, 0, 9, 12], [0.7, 4, 0, 5, 3], [1.5, 0, 0, 1, 1]])
MOVES = np.array([[0, 0, 0, 0, 0, 0, 0], [1, -2, 1, 2, 5, 3, 6], [2, 1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0],
                  [-1, 2, 0, 0, 0, 0, 0]])


def epoch(loader):
    x, y = zip(*loader, strict=True)
    return np.concatenate(x), np.concatenate(y)


def fill(images, views, terms):
    images = images.view()
    images.flags.writeable = False
    out = empty_images(len(views.moves), *images.shape[1:])
    out[...] = np.nan
    fill_batch(out, images, np.arange(len(views.moves)), views, terms)
    return out


def folded(place, size):
    """The place inside that is seen at one outside, between pixels too."""
    while not 0 <= place <= size - 1:
        place = -place if place < 0 else 2 * (size - 1) - place
    return place


def turned(image, moves, turn, reflect):
    """One pixel after the other, by the formula: the image as float64 (C, H, W)."""
    _, height, width = image.shape
    (top, left, flip, *cut), (angle, first, start, tall, wide) = moves, turn
    result = np.zeros_like(image)
    for p in range(height):
        for q in range(width):
            if cut[0] <= p < cut[1] and cut[2] <= q < cut[3]:
                continue
            v = p + top - (height - 1) / 2
            u = (width - 1 - q if flip else q) + left - (width - 1) / 2
            y = np.sin(angle) * u + np.cos(angle) * v + (height - 1) / 2
            x = np.cos(angle) * u - np.sin(angle) * v + (width - 1) / 2
            if reflect:
                y, x = folded(y, height), folded(x, width)
            elif not (-0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5):
                continue
            y = np.clip(first + (y + 0.5) * tall / height - 0.5, first, first + tall - 1)
            x = np.clip(start + (x + 0.5) * wide / width - 0.5, start, start + wide - 1)
            i, j = int(y), int(x)
            rows, columns = [i, min(i + 1, height - 1)], [j, min(j + 1, width - 1)]
            four = image[:, rows][:, :, columns]
            result[:, p, q] = np.array([1 - y + i, y - i]) @ four @ np.array([1 - x + j, x - j])
    return result


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("reflect", [False, True])
def test_turned_images_are_those_of_the_formula(dtype, reflect):
    terms = Terms(RNG.standard_normal((3, 9, 12)).astype(np.float32), np.float32([0.5, 1, 2]),
                  RNG.standard_normal((3, 9, 12)).astype(np.float32))
    images = IMAGES[:5].astype(dtype)
    found = fill(images, still(5)._replace(moves=MOVES, turns=TURNS, reflect=reflect), terms)
    normal = (images - terms.center.astype(float)) * terms.scale[:, None, None] + terms.shift
    for i in range(5):
        expected = turned(normal[i], MOVES[i], TURNS[i], reflect)
        different = np.abs(found[i] - expected).max(axis=0) > 2e-3
        assert different.sum() <= 1, i      # a pixel at the very edge may be in or out


def test_a_rotation_is_pillow_s():
    Image = pytest.importorskip("PIL.Image")
    image = RNG.standard_normal((21, 26)).astype(np.float32)
    augment = Augment(rotation=70)
    (x, _), = DataLoader(np.broadcast_to(image, (6, 1, 21, 26)), np.zeros(6), shuffle=False, seed=1, augment=augment)
    angles = np.degrees(augment.views(1, 0, np.arange(6), 21, 26).turns[:, 0])
    for found, angle in zip(x, angles, strict=True):
        expected = np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR))
        assert (np.abs(found[0] - expected) > 1e-3).sum() <= 3
    assert (np.abs(angles) <= 70).all() and np.abs(angles).max() > 30


def test_a_window_is_pillow_s():
    Image = pytest.importorskip("PIL.Image")
    augment = Augment(resized_crop=(0.2, 0.7))
    (x, _), = DataLoader(IMAGES.astype(np.float32), LABELS, shuffle=False, seed=1, augment=augment, batch_size=40)
    turns = augment.views(1, 0, np.arange(40), 9, 12).turns
    assert (turns[:, 0] == 0).all()
    for image, found, (_, top, left, height, width) in zip(IMAGES, x, turns, strict=True):
        part = image[:, int(top):int(top + height), int(left):int(left + width)].astype(np.float32)
        for c in range(3):
            expected = Image.fromarray(part[c]).resize((12, 9), Image.Resampling.BILINEAR)
            np.testing.assert_allclose(found[c], np.asarray(expected), atol=0.01)


def test_masks_and_boxes_turn_with_their_images():
    """Nothing else than nearest pixels: a smooth image of places tells where those of the mask have to come from."""
    down, across = np.mgrid[:30, :40].astype(np.float32)
    places = np.broadcast_to(np.stack([down, across]) + 1, (30, 2, 30, 40))
    mask = np.broadcast_to(down.astype(np.int64) * 40 + across.astype(np.int64), (30, 30, 40))
    box = np.tile([[[10.0, 8, 20, 16]]], (30, 1, 1))
    for options in ({"rotation": 30}, {"resized_crop": (0.3, 1)}, {"rotation": 180, "resized_crop": (0.3, 1), "crop": 2,
                                                                    "flip": True}):
        augment = Augment(**options, boxes="box")
        (x, y), = DataLoader(places, {"mask": mask, "box": box}, 30, augment=augment)
        seen = y["mask"] >= 0
        assert (seen == (x[:, 0] > 0)).mean() > 0.98 and seen.mean() > 0.5
        both = seen & (x[:, 0] > 0)
        assert np.abs(y["mask"] // 40 - (x[:, 0] - 1))[both].max() <= 1
        assert np.abs(y["mask"] % 40 - (x[:, 1] - 1))[both].max() <= 1
        for i in range(30):
            inside = (x[i, 0] > 9) & (x[i, 0] < 16) & (x[i, 1] > 11) & (x[i, 1] < 20)
            rows, columns = np.nonzero(inside)
            if len(rows):
                x1, y1, x2, y2 = y["box"][i, 0]
                assert x1 - 1e-6 <= columns.min() and columns.max() + 1 <= x2 + 1
                assert y1 - 1e-6 <= rows.min() and rows.max() + 1 <= y2 + 1
                if options == {"resized_crop": (0.3, 1)}:
                    assert x2 - x1 <= np.ptp(columns) + 8 and y2 - y1 <= np.ptp(rows) + 8


def test_a_quarter_turn_of_masks_and_boxes():
    mask = np.arange(36).reshape(1, 6, 6)
    views = still(1)._replace(turns=np.array([[np.pi / 2, 0, 0, 6, 6]]))
    assert (moved_masks(mask, views)[0] == np.rot90(mask[0])).all()
    assert moved_boxes(np.array([[1.0, 2, 3, 6]]), views, 6, 6).round(6).tolist() == [[2, 3, 6, 5]]


def test_noise():
    flat = np.zeros((60, 3, 16, 16), np.float32)
    options = {"augment": Augment(noise=0.5, cutout=4), "seed": 2, "shuffle": False}
    x, _ = epoch(DataLoader(flat, LABELS[:1].repeat(60), 60, **options))
    again, _ = epoch(DataLoader(flat, LABELS[:1].repeat(60), 7, **options))
    np.testing.assert_array_equal(x, again)
    noise = x[x != 0] / 0.5
    assert 0.9 < len(noise) / x.size < 0.99 and abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
    assert abs((np.abs(noise) < 1).mean() - 0.6827) < 0.01 and abs((noise**4).mean() - 3) < 0.2
    a, b = x[:30].ravel(), x[30:].ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03 and abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.03


def test_random_numbers():
    numbers = random_numbers(1, 2, np.arange(20_000), 3)
    assert 0 <= numbers.min() < 1e-3 and 0.999 < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.01 and abs(numbers.std() - 12**-0.5) < 0.01


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 3.0, 1000.0])
def test_shares_are_of_the_beta_distribution(alpha):
    shares = random_shares(1, 2, np.arange(20_000), alpha)
    theirs = np.random.default_rng(0).beta(alpha, alpha, 20_000)
    assert np.isfinite(shares).all() and 0 <= shares.min() and shares.max() <= 1
    both = np.concatenate([shares, theirs])
    steps = np.linspace(both.min(), both.max(), 300)
    ours, other = (np.searchsorted(np.sort(one), steps, "right") / 20_000 for one in (shares, theirs))
    assert np.abs(ours - other).max() < 0.0231      # Kolmogorov and Smirnov, at 0.00005
    assert (random_shares(1, 2, np.array([7, 3]), alpha) == shares[[7, 3]]).all()


@pytest.mark.parametrize(("options", "y"), [({"mixup": 0.4}, LABELS), ({"cutmix": 1.0}, LABELS),
                                            ({"mixup": 0.4, "cutmix": 1.0}, LABELS),
                                            ({"mixup": 0.4}, RNG.standard_normal((40, 2)))], ids=str)
def test_mixtures_are_those_of_numpy(options, y):
    augment, normalize = Augment(**options), Normalize.per_channel(IMAGES)
    loader = DataLoader(IMAGES, y, 7, seed=4, augment=augment, normalize=normalize)
    order = permutation(4, 0, 40)
    after = np.roll(order, -1)
    kept, cuts, shares = mixtures(augment, 4, 0, order, 9, 12)
    plain = normalize(IMAGES)
    x, soft = epoch(loader)
    wide = np.eye(4)[y] if y.ndim == 1 else y
    for i in range(40):
        expected = kept[i] * plain[order[i]] + (1 - kept[i]) * plain[after[i]]
        rows, columns = slice(*cuts[i, :2]), slice(*cuts[i, 2:])
        expected[:, rows, columns] = plain[after[i]][:, rows, columns]
        np.testing.assert_allclose(x[i], expected, atol=1e-5)
        np.testing.assert_allclose(soft[i], shares[i] * wide[order[i]] + (1 - shares[i]) * wide[after[i]], atol=1e-6)
    if y.ndim == 1:
        assert soft.dtype == np.float32 and np.allclose(soft.sum(axis=1), 1)
        value, _ = CrossEntropyLoss()(np.zeros((40, 4), np.float32), soft)
        assert abs(float(value) - np.log(4)) < 1e-5
    again = epoch(DataLoader(IMAGES, y, 40, seed=4, augment=augment, normalize=normalize, workers=3))
    np.testing.assert_array_equal(again[0], x)
    np.testing.assert_array_equal(again[1], soft)


def test_what_is_mixed():
    for options, moved, cut in (({"mixup": 1.0}, True, False), ({"cutmix": 1.0}, False, True)):
        kept, cuts, shares = mixtures(Augment(**options), 0, 0, np.arange(4000), 32, 32)
        area = (cuts[:, 1] - cuts[:, 0]) * (cuts[:, 3] - cuts[:, 2]) / 1024
        assert (kept < 1).any() == moved and (area > 0).any() == cut
        np.testing.assert_allclose(shares, kept * (1 - area), atol=1e-6)
        assert cuts.min() == 0 and cuts.max() <= 32 and (cuts[:, 1] >= cuts[:, 0]).all()
    kept, _, shares = mixtures(Augment(mixup=1.0, cutmix=1.0), 0, 0, np.arange(4000), 32, 32)
    assert 0.45 < (kept == 1).mean() < 0.55


def test_classes_of_mixtures():
    def columns(data, y=None, **options):
        return next(iter(DataLoader(data, y, augment=Augment(mixup=1.0, **options))))[1].shape[1]

    assert columns(IMAGES, LABELS) == 4 and columns(IMAGES, LABELS, num_classes=9) == 9
    assert columns(Dataset(IMAGES, LABELS, list("abcdef"), "here")) == 6
    one_by_one = [(image, label) for image, label in zip(IMAGES, LABELS, strict=True)]
    assert columns(one_by_one, num_classes=5) == 5
    for data, y, options, error, message in (
            (one_by_one, None, {}, ValueError, "augment needs num_classes to mix class numbers of samples"),
            (IMAGES, None, {}, TypeError, "there is no y: leave out mixup and cutmix"),
            (IMAGES, IMAGES[:, 0], {}, TypeError, "augment mixes class numbers .* and y is of shape"),
            (IMAGES, LABELS, {"num_classes": 3}, ValueError, "class numbers from 0 to 2 where augment mixes"),
            ((IMAGES, IMAGES), LABELS, {}, TypeError, "x must be one array of them")):
        with pytest.raises(error, match=message):
            DataLoader(data, y, augment=Augment(mixup=1.0, **options))


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"noise": -1}, ValueError, "noise must be a finite number of at least 0 and at most 1000, got -1"),
    ({"rotation": 181}, ValueError, "rotation, in degrees, must be a finite number of at least 0 and at most 180, got"),
    ({"resized_crop": 0.5}, TypeError, "resized_crop must be 2 finite numbers above 0 and at most 1, got 0.5"),
    ({"resized_crop": (0.9, 0.5)}, ValueError, r"resized_crop must be \(least, most\), got \(0.9, 0.5\)"),
    ({"resized_crop": (0, 1)}, ValueError, "resized_crop must be a finite number above 0 and at most 1, got 0"),
    ({"ratio": (2, 0.5)}, ValueError, r"ratio must be \(least, most\)"),
    ({"mixup": -0.1}, ValueError, "mixup must be a finite number of at least 0"),
    ({"cutmix": True}, TypeError, "cutmix must be a finite number of at least 0"),
    ({"num_classes": 1}, ValueError, "num_classes must be an integer of at least 2, got 1"),
])
def test_bad_augmentation(change, error, message):
    with pytest.raises(error, match=message) as caught:
        Augment(**change)
    assert str(caught.value).startswith("Augment: ")


def test_it_prints_what_is_set():
    assert repr(Augment()) == "Augment()"
    augment = Augment(crop=4, mixup=0.2, resized_crop=[0.1, 1])
    assert repr(augment) == "Augment(crop=4, resized_crop=(0.1, 1.0), mixup=0.2)"
