"""Random configurations of every loss, on both backends: PyTorch and finite differences judge them, and weights of
samples do what repeated samples do. A configuration that ever failed is kept in KEPT."""
import copy
import zlib

import numpy as np
import pytest

from fastnet import kernels, losses

from .draws import DRAWS

torch = pytest.importorskip("torch")
STEP = 1e-6
KEPT = [("CrossEntropyLoss", 33)]   # (name, number)


def configuration(name, number):
    return DRAWS[name](np.random.default_rng([zlib.crc32(name.encode()), number]))


def judge(config):
    x = torch.tensor(config.x, requires_grad=True)
    wanted = config.judge(torch, x, torch.tensor(config.t))
    wanted.backward()
    for backend in kernels.BACKENDS:
        loss = copy.copy(config.loss)
        loss.backend = backend
        for dtype, tolerance in ((np.float64, 1e-11), (np.float32, 2e-5)):
            given = config.x.astype(dtype)
            t = config.t.astype(dtype) if config.t.dtype.kind == "f" else config.t
            before = given.copy(), t.copy()
            value, gradient = loss(given, t)
            assert type(value) is float and value == pytest.approx(wanted.item(), rel=tolerance, abs=tolerance)
            assert gradient.dtype == dtype and gradient.shape == given.shape
            scale = max(np.abs(x.grad.numpy()).max(), 1e-3)
            np.testing.assert_allclose(gradient, x.grad.numpy(), atol=tolerance * scale, rtol=0)
            np.testing.assert_array_equal(given, before[0])
            np.testing.assert_array_equal(t, before[1])
        slope(loss, config, gradient=loss(config.x, config.t)[1])
        if not any(np.size(getattr(loss, name, 0)) > 1 and np.ndim(getattr(loss, name)) == config.x.ndim and
                   len(getattr(loss, name)) > 1 for name in ("weight", "pos_weight")):
            samples(loss, config)


def slope(loss, config, gradient):
    """Finite differences in random directions; a kink may lie within the step."""
    rng, misses = np.random.default_rng(0), 0
    for _ in range(3):
        v = rng.uniform(-1, 1, config.x.shape)
        up, down = (loss(config.x + h * v, config.t)[0] for h in (STEP, -STEP))
        scale = np.linalg.norm(gradient) * np.linalg.norm(v) + 1e-3
        misses += abs((up - down) / (2 * STEP) - np.sum(gradient * v)) > 1e-6 * scale
    assert misses < 3


def samples(loss, config):
    """Weights 2, 1, 0, ... are samples given twice, once, not at all."""
    often = np.array([2, 1, 0, 3, 1])[:len(config.x)]
    value, gradient = loss(config.x, config.t, sample_weight=often)
    wanted, repeated = loss(np.repeat(config.x, often, axis=0), np.repeat(config.t, often, axis=0))
    assert value == pytest.approx(wanted, rel=1e-10, abs=1e-12)
    summed, start = np.zeros_like(config.x), 0
    for place, count in enumerate(often):
        summed[place] = repeated[start: start + count].sum(axis=0)
        start += count
    np.testing.assert_allclose(gradient, summed, atol=1e-11 * max(1, np.abs(summed).max()))


@pytest.mark.parametrize("name, number", KEPT)
def test_kept(name, number):
    judge(configuration(name, number))


@pytest.mark.parametrize("name", DRAWS)
def test_some(name):
    for number in range(6):
        judge(configuration(name, number))


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
def test_many(name):
    for number in range(6, 100):
        try:
            judge(configuration(name, number))
        except Exception as error:
            raise AssertionError(f"number {number}: {configuration(name, number)}") from error


def test_every_loss_is_drawn():
    assert {name.partition(",")[0] for name in DRAWS} | {"Loss", "WeightedSum"} == set(losses.__all__)


def test_a_wrong_loss_is_noticed():
    config = configuration("MSELoss", 0)
    with pytest.raises(AssertionError):
        judge(config._replace(loss=losses.L1Loss()))
