"""Finite differences in float64 judge every gradient."""
import numpy as np
import pytest

from . import cases

STEP = 1e-5
DIFFERENTIABLE = [case for case in cases.CASES if case.op not in cases.NO_GRADIENT]


def weighted(results, dys):
    """The number whose gradients are asked for: the sum of all results, each times its dy."""
    return sum(np.sum(result * dy) for result, dy in zip(results, dys, strict=True))


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=cases.name)
def test_directional_derivatives(ops, case):
    """(f(x + h v) - f(x - h v)) / 2h is the product of the gradient with v, for random directions v of each operand
    in turn. The numbers lie far enough apart that no maximum changes hands within h."""
    arrays = cases.operands(case, cases.distinct, np.float64)
    results = cases.forward(ops, case, arrays)
    outputs = cases.differentiable(case, results)
    rng = np.random.default_rng(1)
    dys = [cases.reals(rng, np.shape(output)) for output in outputs]
    gradients = cases.gradients(ops, case, arrays, results, dys)
    for place, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        if gradient is None:
            assert array is None or cases.constant(case, place)
            continue
        assert gradient.shape == array.shape
        for _ in range(3):
            direction = rng.uniform(-1, 1, array.shape)
            moved = [[*arrays[:place], array + h * direction, *arrays[place + 1:]] for h in (STEP, -STEP)]
            upper, lower = (weighted(cases.differentiable(case, cases.forward(ops, case, m)), dys) for m in moved)
            scale = np.linalg.norm(gradient) * np.linalg.norm(direction) + 1e-3
            assert abs((upper - lower) / (2 * STEP) - np.sum(gradient * direction)) < 1e-7 * scale


@pytest.mark.parametrize("case", cases.one_each(DIFFERENTIABLE), ids=cases.name)
def test_each_partial_derivative(ops, case):
    """The same, one element of the first operand at a time, for a sample of the elements."""
    arrays = cases.operands(case, cases.distinct, np.float64, seed=2)
    results = cases.forward(ops, case, arrays)
    rng = np.random.default_rng(3)
    dys = [cases.reals(rng, np.shape(output)) for output in cases.differentiable(case, results)]
    gradient = cases.gradients(ops, case, arrays, results, dys)[0]
    for place in rng.choice(arrays[0].size, min(20, arrays[0].size), replace=False):
        at = np.unravel_index(place, arrays[0].shape)
        sums = []
        for h in (STEP, -STEP):
            x = arrays[0].copy()
            x[at] += h
            sums.append(weighted(cases.differentiable(case, cases.forward(ops, case, [x, *arrays[1:]])), dys))
        assert (sums[0] - sums[1]) / (2 * STEP) == pytest.approx(gradient[at], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("case", [case for case in cases.ACTIVATIONS if len(case.shapes[0]) == 1], ids=cases.name)
def test_slopes_of_activations(ops, case):
    """Everywhere from -8 to 8, closer to kinks than random numbers come; each element has a slope of its own."""
    x = np.linspace(-8, 8, 20_001) + 3e-5
    slope = cases.gradients(ops, case, [x], cases.forward(ops, case, [x]), [np.ones_like(x)])[0]
    upper, lower = (cases.forward(ops, case, [x + h])[0] for h in (STEP, -STEP))
    np.testing.assert_allclose((upper - lower) / (2 * STEP), slope, rtol=1e-7, atol=1e-9)
