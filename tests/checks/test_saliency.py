"""Saliency and Grad-CAM, judged by formulas and by PyTorch."""
import numpy as np
import pytest

import fastnet
from fastnet import Conv2d, Flatten, Linear, ReLU, Sequential
from fastnet.checks import grad_cam, saliency

X = np.random.default_rng(0).standard_normal((3, 2, 6, 6)).astype(np.float32)


def net():
    fastnet.manual_seed(0)
    return Sequential(Conv2d(2, 4, 3), fastnet.BatchNorm2d(4), ReLU(), Flatten(), fastnet.Dropout(0.5), Linear(64, 3))


def test_saliency_of_a_linear_net_is_its_weights():
    model = Sequential(Flatten(), Linear(72, 3))
    found = saliency(model, X, 1)
    wanted = np.abs(model[1].weight.value[1].reshape(2, 6, 6)).max(axis=0)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, (3, 6, 6)))
    said = model(X).argmax(axis=1)
    np.testing.assert_array_equal(saliency(model, X), saliency(model, X, said))


def test_grad_cam_is_that_of_the_formula_and_the_net_stays_as_it_is():
    model, target = net(), [2, 0, 1]
    before = model.state_dict()
    found = grad_cam(model, X, "2", target)
    y = model[:3](X)
    weight = model[5].weight.value[target].reshape(3, 4, 4, 4).mean(axis=(2, 3), keepdims=True)   # d score / dy
    np.testing.assert_allclose(found, np.maximum((weight * y).sum(axis=1), 0), rtol=1e-5, atol=1e-6)
    assert found.shape == (3, 4, 4) and [layer.name for layer in model] == list("012345")
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


def test_saliency_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    model = net()
    other = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(),
                                torch.nn.Dropout(0.5), torch.nn.Linear(64, 3)).eval()
    other.load_state_dict({name: torch.as_tensor(value) for name, value in model.state_dict().items()})
    x = torch.tensor(X, requires_grad=True)
    other(x)[:, 1].sum().backward()
    np.testing.assert_allclose(saliency(model, X, 1), x.grad.abs().amax(dim=1).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("call, text", [
    (lambda: saliency(net(), X[0]), r"saliency: x must be images, of shape \(N, C, H, W\), got \(2, 6, 6\)"),
    (lambda: saliency(net(), X, 3), "saliency: target must be an integer of at least 0 and at most 2, got 3"),
    (lambda: saliency(net()[:3], X), r"saliency: net must give scores of classes, of shape \(N, C\)"),
    (lambda: grad_cam(net(), X, "5"), r"grad_cam: layer must be the path of one that gives arrays \(N, C, H, W\)"),
    (lambda: grad_cam(net(), X, "7"), "grad_cam: layer: Sequential: no layer's path fits the pattern '7'; there are 0"),
    (lambda: grad_cam(net(), X, "*"), r"grad_cam: layer must be the path of one .* got '\*', which gives None"),
    (lambda: grad_cam(net(), X[:, :1], "0"), r"grad_cam: net\(x\): Conv2d \"0\": expected"),
])
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises((TypeError, ValueError), match=text):
        call()
