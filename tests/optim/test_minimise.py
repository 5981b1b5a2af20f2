"""Minimising over a whole data set: known minima, PyTorch and SciPy as outside judges, and what is refused."""
import warnings

import numpy as np
import pytest

import fastnet
from fastnet import L1, L2, ElasticNet, MaxNorm, optim
from fastnet.optim.line_search import Point, strong_wolfe
from fastnet.parameter import Parameter


class Function:
    """A "net" whose output is its weights, so that the loss is a function of them."""

    def __init__(self, start, dtype=np.float64):
        self.weight = Parameter(np.asarray(start, dtype))
        self.passes = 0

    def parameters(self):
        return [self.weight]

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x, training=False):
        self.passes += 1
        return self.weight.value

    def backward(self, dy, need_dx=True):
        self.weight.grad = dy


def rosenbrock(w, target=None):
    a, b = 1 - w[:-1], w[1:] - w[:-1] ** 2
    gradient = np.zeros_like(w)
    gradient[:-1] = -2 * a - 400 * w[:-1] * b
    gradient[1:] += 200 * b
    return float((a**2).sum() + 100 * (b**2).sum()), gradient


def quadratic(w, target):
    curvature = np.logspace(0, 4, w.size)
    return float(curvature @ (w - target) ** 2 / 2), curvature * (w - target)


START = np.array([-1.2, 1.0, -0.5, 2.0])


def test_a_minimum_that_is_known():
    net = Function(START)
    found = optim.minimise(net, rosenbrock, None, None, max_iter=200, tolerance_change=0.0)
    assert found.value < 1e-14 and found.reason == "no gradient exceeds 1e-07"
    np.testing.assert_allclose(net.weight.value, 1, rtol=1e-7)
    assert rosenbrock(net.weight.value)[0] == found.value == found.history[-1] == min(found.history)
    assert list(found.history) == sorted(found.history, reverse=True) and len(found.history) == found.iterations + 1
    assert found.evaluations == net.passes and found.iterations < 60
    assert net.weight.grad is None
    assert repr(found).startswith(f"Minimum(value={found.value:.6g}, from {found.history[0]:.6g}, iterations=")


@pytest.mark.parametrize("history_size", [1, 5, 100])
@pytest.mark.parametrize("loss, target", [(rosenbrock, None), (quadratic, np.arange(4.0))])
def test_torch_needs_as_many_evaluations(loss, target, history_size):
    torch = pytest.importorskip("torch")
    found = optim.minimise(Function(START), loss, None, target, max_iter=300, history_size=history_size)
    weight, count = torch.tensor(START, requires_grad=True), 0
    judge = torch.optim.LBFGS([weight], max_iter=300, max_eval=10**6, history_size=history_size,
                              line_search_fn="strong_wolfe")

    def closure():
        nonlocal count
        count += 1
        value, gradient = loss(weight.detach().numpy(), target)
        weight.grad = torch.tensor(gradient)
        return torch.tensor(value)

    judge.step(closure)
    expected = loss(weight.detach().numpy(), target)[0]
    assert found.value <= max(10 * expected, 1e-7)
    assert found.evaluations <= 1.5 * count + 10


def test_scipy_finds_the_same():
    optimize = pytest.importorskip("scipy.optimize")
    judge = optimize.minimize(rosenbrock, START, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-7})
    net = Function(START)
    found = optim.minimise(net, rosenbrock, None, None, tolerance_change=0.0)
    np.testing.assert_allclose(net.weight.value, judge.x, rtol=1e-6)
    assert found.evaluations <= 1.5 * judge.nfev + 10


def data(dtype=np.float32):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((60, 5)).astype(dtype)
    return x, ((x @ rng.standard_normal((5, 3))).argmax(1) + (rng.random(60) < 0.2)) % 3


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 3e-4), (np.float64, 1e-6)])
def test_softmax_regression(dtype, tolerance):
    """A convex loss: the minimum is where the gradient is 0, from wherever one starts."""
    torch = pytest.importorskip("torch")
    x, y = data(dtype)
    fastnet.manual_seed(0)
    net = fastnet.Sequential(fastnet.Linear(5, 3)).astype(dtype)
    found = fastnet.minimise(net, fastnet.CrossEntropyLoss(), x, y, max_iter=300, tolerance_change=0.0)
    judge = torch.nn.Linear(5, 3, dtype=torch.float64)
    lbfgs = torch.optim.LBFGS(judge.parameters(), max_iter=500, tolerance_grad=1e-9, tolerance_change=0,
                              line_search_fn="strong_wolfe")

    def closure():
        lbfgs.zero_grad()
        loss = torch.nn.functional.cross_entropy(judge(torch.tensor(x, dtype=torch.float64)), torch.tensor(y))
        loss.backward()
        return loss

    lbfgs.step(closure)
    assert found.value == pytest.approx(closure().item(), abs=tolerance / 100)
    assert fastnet.CrossEntropyLoss()(net(x), y)[0] == pytest.approx(found.value, rel=1e-6)
    centred = net[0].weight.value - net[0].weight.value.mean(0)      # what all classes share does not matter
    expected = judge.weight.detach().numpy()
    np.testing.assert_allclose(centred, expected - expected.mean(0), atol=100 * tolerance)


def half_square(w, target):
    return 0.5 * float(((w - target) ** 2).sum()), w - target


class Ridge:
    """A regulariser of one's own: half the sum of squares."""

    def add(self, net):
        for parameter in net.parameters():
            parameter.grad = parameter.grad + parameter.value
        return sum(0.5 * float((parameter.value**2).sum()) for parameter in net.parameters())


@pytest.mark.parametrize("method, options", [("lbfgs", {}), ("random", {}), ("local", {"std": 0.3})])
def test_a_regulariser_of_ones_own_counts(method, options):
    net = Function(np.full((2, 2), 3.0))
    found = optim.minimise(net, half_square, None, np.ones((2, 2)), method, regularizer=Ridge(), max_iter=500,
                           **options)
    np.testing.assert_allclose(net.weight.value, 0.5, atol=1e-7 if method == "lbfgs" else 0.5)
    assert found.value == pytest.approx(1.0, abs=1e-9 if method == "lbfgs" else 0.3) and found.value >= 1
    assert net.weight.grad is None


@pytest.mark.parametrize("regularizer, l1, l2", [
    (L2(0.3), 0, 0.3), (L1(0.2), 0.2, 0), (ElasticNet(0.2, 0.3), 0.2, 0.3), (L1(0.2) + L2(0.3), 0.2, 0.3),
    (L2(0.3, on="all"), 0, 0.3)], ids=repr)
def test_the_minimum_with_a_regulariser_is_that_of_the_formula(regularizer, l1, l2):
    """Of (w - t)^2 / 2 + l1 |w| + l2 w^2, it is w = sign(t) (|t| - l1) / (1 + 2 l2) where |t| is above l1."""
    rng = np.random.default_rng(0)
    target = rng.uniform(0.5, 2, (4, 3))
    net = fastnet.Linear(4, 3, bias=False).astype(np.float64)
    net.weight.value = rng.uniform(0.5, 2, (3, 4))
    found = fastnet.minimise(net, half_square, np.eye(4), target, regularizer=regularizer, tolerance_change=0.0)
    expected = (target - l1) / (1 + 2 * l2)
    np.testing.assert_allclose(net.weight.value, expected.T, atol=1e-7)
    assert found.value == pytest.approx(half_square(expected, target)[0] + l1 * expected.sum()
                                        + l2 * np.square(expected).sum(), rel=1e-9)
    assert net.weight.grad is None


@pytest.mark.parametrize("on, meant", [("weights", [1, 1, 0]), ("all", [1, 1, 1]), ("bias", [0, 0, 1])])
def test_which_weights_a_regulariser_means(on, meant):
    net = fastnet.Linear(2, 2).astype(np.float64)
    x = np.array([[1.0, 0], [0, 1], [0, 0]])
    target = np.array([[3.0, 1], [1, 3], [1, 1]])
    fastnet.minimise(net, half_square, x, target, regularizer=L2(0.5, on=on), tolerance_change=0.0)
    rows = np.column_stack([x, np.ones(3)])     # the weights and, last, the bias, by the normal equations
    expected = np.linalg.solve(rows.T @ rows + np.diag(meant), rows.T @ target)
    np.testing.assert_allclose(net.weight.value, expected[:2].T, atol=1e-6)
    np.testing.assert_allclose(net.bias.value, expected[2], atol=1e-6)


@pytest.mark.parametrize("method", ["random", "local"])
def test_searches_keep_the_best_and_depend_on_their_seed(method):
    x, y = data()
    outcomes = []
    for seed in (0, 0, 1):
        fastnet.manual_seed(0)
        net = fastnet.Sequential(fastnet.Linear(5, 3), fastnet.Dropout(0.5), fastnet.BatchNorm1d(3))
        statistics = net[2].running_mean.copy()
        found = optim.minimise(net, fastnet.CrossEntropyLoss(), x, y, method, max_iter=60, seed=seed)
        assert found.value == fastnet.CrossEntropyLoss()(net(x), y)[0] == found.history[-1] < found.history[0]
        assert list(found.history) == sorted(found.history, reverse=True)
        assert (found.iterations, found.evaluations, len(found.history)) == (60, 61, 61)
        assert found.reason == {"random": "60 draws were made", "local": "60 steps were tried"}[method]
        np.testing.assert_array_equal(net[2].running_mean, statistics)
        outcomes.append((found.history, net[0].weight.value, net[0].bias.value))
    assert outcomes[0][0] == outcomes[1][0] != outcomes[2][0]
    np.testing.assert_array_equal(outcomes[0][1], outcomes[1][1])


def test_what_random_search_draws():
    net = Function(np.full((30, 400), 5.0))
    net.bias = Parameter(np.full(3, 5.0))
    net.parameters = lambda: [net.weight, net.bias]
    optim.minimise(net, lambda w, y: (float((w**2).sum()), 2 * w), None, None, "random", max_iter=1)
    assert net.weight.value.std() == pytest.approx(400**-0.5, rel=0.05) and (net.bias.value == 5).all()
    optim.minimise(net, lambda w, y: (float(-(w**2).sum()), -2 * w), None, None, "random", max_iter=1, std=2)
    assert net.weight.value.std() == pytest.approx(2, rel=0.05)


def test_frozen_parameters_and_statistics_stay():
    x, y = data()
    fastnet.manual_seed(0)
    net = fastnet.Sequential(fastnet.Linear(5, 4), fastnet.BatchNorm1d(4), fastnet.Tanh(), fastnet.Linear(4, 3))
    net[0].weight.requires_grad = False
    before = {name: value.copy() for name, value in net.state_dict().items()}
    found = optim.minimise(net, fastnet.CrossEntropyLoss(), x, y, max_iter=20)
    after = net.state_dict()
    assert found.value < 0.7 * found.history[0]
    for name in ("0.weight", "1.running_mean", "1.running_var", "1.num_batches_tracked"):
        np.testing.assert_array_equal(after[name], before[name])
    assert (after["3.weight"] != before["3.weight"]).any()
    fastnet.update_bn(net, [x])
    np.testing.assert_allclose(net[1].running_mean, net[0](x).mean(0), rtol=1e-5, atol=1e-6)
    assert fastnet.CrossEntropyLoss()(net(x), y)[0] == pytest.approx(found.value, rel=0.1)


def test_an_error_in_between_leaves_the_best_weights():
    net = Function(START)
    best = []

    def loss(w, y):
        value, gradient = rosenbrock(w)
        if net.passes == 12:
            raise KeyboardInterrupt
        best.append((value, w.copy()))
        return value, gradient

    with pytest.raises(KeyboardInterrupt):
        optim.minimise(net, loss, None, None)
    assert any((net.weight.value == w).all() for _, w in best)
    assert rosenbrock(net.weight.value)[0] < rosenbrock(START)[0]


@pytest.mark.parametrize("backend", fastnet.kernels.BACKENDS)
def test_a_net_that_drops_is_refused(backend):
    x, y = data()
    net = fastnet.Sequential(fastnet.Linear(5, 3), fastnet.Dropout(0.5)).to(backend)
    before = net[0].weight.value.copy()
    with pytest.raises(ValueError, match=r"minimise: loss must depend on the weights alone, .* freeze it"):
        optim.minimise(net, fastnet.CrossEntropyLoss(backend=backend), x, y)
    np.testing.assert_array_equal(net[0].weight.value, before)
    fastnet.freeze(net, "1")
    assert optim.minimise(net, fastnet.CrossEntropyLoss(backend=backend), x, y, max_iter=5).iterations == 5


def test_reasons():
    start = Function(np.ones(2))
    assert optim.minimise(start, rosenbrock, None, None).reason == "no gradient exceeds 1e-07"
    assert optim.minimise(Function(START), rosenbrock, None, None, max_iter=3).reason == "3 iterations were made"
    assert "change by more than 0.1" in optim.minimise(Function(START), rosenbrock, None, None,
                                                       tolerance_change=0.1).reason
    wrong = optim.minimise(Function(START), lambda w, y: (float(w @ w), -w), None, None)     # a gradient of wrong sign
    assert wrong.reason == "the line search found nothing lower" and wrong.iterations == 0


def test_steps_beyond_all_numbers_are_taken_back():
    def loss(w, y):
        with np.errstate(all="ignore"):
            return float(np.exp(w[0]) - 2 * w[0]), np.array([np.exp(w[0]) - 2])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for start in (-700.0, 300.0):
            net = Function([start])
            optim.minimise(net, loss, None, None, max_iter=1000)
            assert net.weight.value[0] == pytest.approx(np.log(2), abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_the_line_search_meets_the_strong_wolfe_conditions(seed):
    rng = np.random.default_rng(seed)
    a, b, c, d = rng.uniform(0.1, 3, 4)
    calls = []

    def along(t):
        calls.append(t)
        value = a * np.sin(b * t) - c * t + d * t * t / 10 + 0.05 * np.cos(9 * t)
        slope = a * b * np.cos(b * t) - c + d * t / 5 - 0.45 * np.sin(9 * t)
        return Point(t, value, slope, None, None)

    start = along(0.0)
    if start.slope >= 0:
        start = start._replace(slope=-start.slope)
        a, c = -a, -c
        start = along(0.0)
    if start.slope >= 0:
        return
    point = strong_wolfe(along, start, 10 ** rng.uniform(-3, 2), 1e-9)
    assert point.step > 0 and point.value <= start.value + 1e-4 * point.step * start.slope
    assert abs(point.slope) <= -0.9 * start.slope and len(calls) <= 28


@pytest.mark.parametrize("options, message", [
    ({"method": "newton"}, "minimise: method must be 'lbfgs', 'random' or 'local', got 'newton'"),
    ({"std": 1.0}, "minimise: method 'lbfgs' has the options history_size, tolerance_grad, tolerance_change, got std"),
    ({"history_size": 0}, "minimise: history_size must be an integer of at least 1, got 0"),
    ({"tolerance_grad": -1}, "minimise: tolerance_grad must be a finite number of at least 0, got -1"),
    ({"method": "local", "std": -1}, "minimise: std must be a finite number of at least 0, got -1"),
    ({"max_iter": 0}, "minimise: max_iter must be an integer of at least 1, got 0"),
    ({"regularizer": 0.1}, "minimise: regularizer must be a regulariser, such as .*, got 0.1, which has no add"),
    ({"regularizer": MaxNorm(3)}, r"minimise: regularizer must be a penalty, such as L2\(1e-4\), got MaxNorm\(3\), wh"),
    ({"regularizer": L2(1) + MaxNorm(3)}, r"must be a penalty, .* got L2\(1\) \+ MaxNorm\(3\), which puts weights"),
    ({"loss": lambda w, y: 3.0}, r"minimise: loss\(net\(x\), y\): loss must give \(value, gradient\), got 3.0"),
    ({"loss": lambda w, y: (float("nan"), w)}, "minimise: loss must be finite at the start, got nan"),
    ({"net": Function}, "minimise: net must be a net, got the class Function: make an object of it"),
])
def test_what_is_refused_changes_nothing(options, message):
    net = Function(START)
    given = {"net": net, "loss": rosenbrock, "x": None, "y": None} | options
    with pytest.raises((TypeError, ValueError), match=message):
        optim.minimise(**given)
    np.testing.assert_array_equal(net.weight.value, START)
    assert net.weight.grad is None


def test_a_regulariser_that_means_nothing_in_the_net_says_so_itself():
    with pytest.raises(ValueError, match="^L2: on must be .*'head', which no parameter of the net fits; there are wei"):
        optim.minimise(fastnet.Linear(5, 3), fastnet.CrossEntropyLoss(), *data(), regularizer=L2(1, on="head"))


def test_a_net_without_anything_to_train_is_refused():
    net = fastnet.freeze(fastnet.Linear(5, 3))
    with pytest.raises(ValueError, match="minimise: net must have parameters that are to be trained, got none"):
        optim.minimise(net, fastnet.CrossEntropyLoss(), *data())
