"""Ensembles and views: means of probabilities, judged by NumPy."""
import numpy as np
import pytest

import fastnet
from fastnet import CrossEntropyLoss, Ensemble, Linear, data, evaluate, predict, tta

X = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
IMAGES = np.random.default_rng(1).standard_normal((6, 3, 5, 5)).astype(np.float32)


def softmax(z):
    powers = np.exp(np.float64(z))
    return powers / powers.sum(axis=1, keepdims=True)


def nets(count=3, features=4, classes=3):
    fastnet.manual_seed(0)
    return [Linear(features, classes) for _ in range(count)]


def test_probabilities_are_averaged():
    members = nets()
    ensemble = Ensemble(members)
    wanted = np.mean([softmax(net(X)) for net in members], axis=0)
    np.testing.assert_allclose(ensemble.probabilities(X), wanted, rtol=1e-6)
    np.testing.assert_allclose(softmax(ensemble(X)), wanted, rtol=1e-6)
    np.testing.assert_allclose(predict(ensemble, X, batch_size=3), ensemble(X), rtol=1e-5)
    assert len(ensemble) == 3 and repr(ensemble) == "Ensemble(3 nets, task='classes')" and ensemble(X).dtype == X.dtype
    loss, accuracy = evaluate(ensemble, (X, np.arange(10) % 3), CrossEntropyLoss())
    assert loss == pytest.approx(-np.log(wanted[np.arange(10), np.arange(10) % 3]).mean(), rel=1e-6)
    assert accuracy == (wanted.argmax(axis=1) == np.arange(10) % 3).mean()


def test_one_net_alone_says_what_it_says():
    net, = nets(1)
    np.testing.assert_allclose(softmax(Ensemble([net])(X)), softmax(net(X)), rtol=1e-6)


def test_logits_and_numbers():
    members = nets(classes=1)
    z = np.mean([1 / (1 + np.exp(-np.float64(net(X)))) for net in members], axis=0)
    np.testing.assert_allclose(Ensemble(members, "yes/no").probabilities(X), z, rtol=1e-6)
    np.testing.assert_allclose(Ensemble(members, "yes/no")(X), np.log(z / (1 - z)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(Ensemble(members, "numbers")(X), np.mean([net(X) for net in members], axis=0), rtol=1e-5)


def test_sure_nets_give_finite_scores():
    far = [lambda x: np.array([[1e4, -1e4]], np.float32)] * 2
    assert np.isfinite(Ensemble(far)(X)).all() and np.isfinite(Ensemble(far, "yes/no")(X)).all()


def image_net():
    fastnet.manual_seed(0)
    return fastnet.Sequential(fastnet.Flatten(), Linear(75, 4))


def test_views_by_functions():
    net = image_net()
    views = [lambda x: x, lambda x: x[..., ::-1], lambda x: 0.5 * x]
    wanted = np.mean([softmax(net(np.ascontiguousarray(view(IMAGES)))) for view in views], axis=0)
    np.testing.assert_allclose(softmax(tta(net, IMAGES, views, batch_size=4)), wanted, rtol=1e-5)


def test_views_by_augmentation_are_those_of_the_loader():
    net, augment = image_net(), data.Augment(crop=1, flip=True)
    normalize = data.Normalize([0.1, 0.2, 0.3], [1, 2, 3])
    found = tta(net, IMAGES, augment, times=3, seed=5, normalize=normalize, batch_size=4)
    loader = data.DataLoader(IMAGES, None, 6, False, 5, augment=augment, normalize=normalize)
    wanted = np.mean([softmax(net(batch)) for _ in range(3) for batch in loader], axis=0)
    np.testing.assert_allclose(softmax(found), wanted, rtol=1e-5)
    np.testing.assert_array_equal(found, tta(net, IMAGES, augment, 3, 5, normalize, 2))


@pytest.mark.parametrize("call, text", [
    (lambda: Ensemble([]), "Ensemble: nets must hold one net at least"),
    (lambda: Ensemble(fastnet.Sequential(*nets())), r"Ensemble: nets must be a list of nets, got an .*: give \[net, "),
    (lambda: Ensemble([3]), "Ensemble: nets must be a list of nets, got 3"),
    (lambda: Ensemble(nets(), "regression"), "Ensemble: task must be 'classes', 'yes/no' or 'numbers'"),
    (lambda: Ensemble(nets(classes=1))(X), r"Ensemble: outputs must be scores.*\(10, 1\): say task='yes/no'"),
    (lambda: Ensemble([*nets(), *nets(classes=2)])(X), r"Ensemble: nets must give outputs of one shape"),
    (lambda: Ensemble([lambda x: (x, x)])(X), "Ensemble: net must give one array of floats, got "),
    (lambda: tta(image_net(), IMAGES, []), "tta: views must hold one function at least"),
    (lambda: tta(image_net(), IMAGES, "flip"), "tta: views must be a list of functions of images"),
    (lambda: tta(image_net(), X, [abs]), r"tta: x must be images, of shape \(N, C, H, W\), got \(10, 4\)"),
    (lambda: tta(image_net(), IMAGES, data.Augment(crop=5)), "Augment: crop must be below"),
])
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises((TypeError, ValueError), match=text):
        call()
