"""Transformers of images, in pipelines, by the functions that they stand for."""
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone  # noqa: E402
from sklearn.pipeline import make_pipeline, make_union  # noqa: E402

from fastnet import data, features  # noqa: E402
from fastnet.estimators import HOG, HueHistogram, KNeighborsClassifier, MeanImage, MinMax, PerChannel  # noqa: E402

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 3, 16, 20), np.uint8)
ROWS = IMAGES.reshape(30, -1)
SHAPE = (3, 16, 20)


def test_a_union_of_features_in_a_pipeline():
    """Of images, and of rows that say their shape, in numbers that features alone give."""
    options = {"cells_per_block": (2, 2), "orientations": 7}
    wanted = np.hstack([features.hog(IMAGES, **options), features.hue_histogram(IMAGES, 12)])
    y = np.arange(30) % 2
    for x, shape in ((IMAGES, None), (ROWS, SHAPE), (ROWS.astype(np.float32), SHAPE)):
        union = make_union(HOG(shape, **options), HueHistogram(shape, bins=12))
        np.testing.assert_array_equal(union.fit_transform(x), wanted)
        model = make_pipeline(union, PerChannel(), KNeighborsClassifier(1)).fit(x, y)
        assert model.score(x, y) == 1
        assert (pickle.loads(pickle.dumps(model)).predict(x) == y).all()
        assert len(union.get_feature_names_out()) == wanted.shape[1]
    assert repr(clone(HOG(SHAPE, 5))) == repr(HOG(SHAPE, 5))


@pytest.mark.parametrize("kind, fit", [(PerChannel, data.Normalize.per_channel), (MinMax, data.Normalize.min_max),
                                       (MeanImage, data.Normalize.mean_image)])
def test_normalisation_is_that_of_the_loader(kind, fit):
    wanted = fit(IMAGES)(IMAGES)
    for x, shape in ((IMAGES, None), (ROWS, SHAPE), (ROWS.astype(float), SHAPE)):
        model = kind(shape)
        found = model.fit_transform(x)
        assert found.shape == x.shape and found.dtype == np.float32
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, atol=1e-6)
        np.testing.assert_allclose(model.inverse_transform(found), x, atol=1e-4)
    columns = kind().fit_transform(ROWS)
    np.testing.assert_allclose(columns, fit(ROWS)(ROWS), atol=1e-6)


@pytest.mark.parametrize("call, text", [
    (lambda: HOG().fit(ROWS), r"HOG: X must be images \(N, C, H, W\), got shape \(30, 960\): give shape=\(C, H, W\)"),
    (lambda: HOG((3, 16, 16)).fit(ROWS), r"HOG: shape \(3, 16, 16\) has 768 numbers, and the rows of X have 960"),
    (lambda: MeanImage((3, 16)).fit(ROWS), "MeanImage: shape, that of one image, must be 3 integers of at least 1"),
    (lambda: HueHistogram().fit(IMAGES).transform(IMAGES[:, :2]), "X has 2 features, but HueHistogram is expecting 3"),
])
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        call()
