"""Ten steps of every optimiser in configurations drawn at random, judged by PyTorch; and what their rules say."""
import numba
import numpy as np
import pytest

from fastnet import kernels, optim
from fastnet.parameter import Parameter

OPTIONS = {     # what is drawn for each argument
    "lr": lambda rng: 10 ** rng.uniform(-3, -1), "weight_decay": lambda rng: rng.choice([0.0, 0.01, 0.3]),
    "maximize": lambda rng: bool(rng.integers(2)), "eps": lambda rng: 10 ** rng.uniform(-8, -1),
    "betas": lambda rng: (rng.choice([0.0, 0.5, 0.9]), rng.uniform(0.5, 0.999)),
    "amsgrad": lambda rng: bool(rng.integers(2)), "momentum": lambda rng: rng.choice([0.0, 0.5, 0.9]),
    "dampening": lambda rng: rng.choice([0.0, 0.3]), "nesterov": lambda rng: bool(rng.integers(2)),
    "momentum_decay": lambda rng: rng.choice([4e-3, 0.1]), "decoupled_weight_decay": lambda rng: bool(rng.integers(2)),
    "alpha": lambda rng: rng.uniform(0.5, 0.99), "centered": lambda rng: bool(rng.integers(2)),
    "lr_decay": lambda rng: rng.choice([0.0, 0.1]), "initial_accumulator_value": lambda rng: rng.choice([0.0, 0.5]),
}
ADAM = ("lr", "weight_decay", "maximize", "eps", "betas")
RULES = {
    "SGD": ("lr", "weight_decay", "maximize", "momentum", "dampening", "nesterov"),
    "Adam": (*ADAM, "amsgrad", "decoupled_weight_decay"), "AdamW": (*ADAM, "amsgrad"),
    "NAdam": (*ADAM, "momentum_decay", "decoupled_weight_decay"),
    "RMSprop": ("lr", "weight_decay", "maximize", "eps", "momentum", "alpha", "centered"),
    "Adagrad": ("lr", "weight_decay", "maximize", "eps", "lr_decay", "initial_accumulator_value"),
}


def drawn(name, rng):
    options = {option: OPTIONS[option](rng) for option in RULES[name] if rng.random() < 0.7}
    if options.get("nesterov"):
        options |= {"momentum": options.get("momentum") or 0.9, "dampening": 0.0}
    return options


def judged(name, seed, backend="cpu"):
    """Two groups, one with a rate of its own, over ten steps in which the rate changes and gradients are missing."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    dtype, rtol = (np.float64, 1e-10) if seed % 3 else (np.float32, 3e-4)
    if name == "NAdam" and dtype == np.float64:
        rtol = 1e-6     # PyTorch multiplies the momenta in float32
    shapes = [tuple(rng.integers(1, 7, rng.integers(0, 5))) for _ in range(rng.integers(2, 7))]
    options, second = drawn(name, rng), {"weight_decay": 0.2} if rng.random() < 0.5 else {}
    lr = options.pop("lr", 0.01)
    ours = [Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
    theirs = [torch.tensor(parameter.value.copy(), requires_grad=True) for parameter in ours]
    optimizer = getattr(optim, name)([{"params": ours[:1]}, {"params": ours[1:], "lr_scale": 0.5, **second}], lr=lr,
                                     backend=backend, **options)
    judge = getattr(torch.optim, name)([{"params": theirs[:1]}, {"params": theirs[1:], **second}], lr=lr, **options)
    for _ in range(10):
        optimizer.lr = lr = lr * rng.uniform(0.8, 1.1)
        for group, scale in zip(judge.param_groups, (1, 0.5), strict=True):
            group["lr"] = lr * scale
        for parameter, other in zip(ours, theirs, strict=True):
            missing = rng.random() < 0.2
            parameter.grad = None if missing else rng.standard_normal(parameter.shape).astype(dtype)
            other.grad = None if missing else torch.tensor(parameter.grad.copy())
        optimizer.step()
        judge.step()
    for parameter, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(parameter.value, other.detach().numpy(), rtol=rtol, atol=rtol, err_msg=str(options))


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", RULES)
def test_ten_steps(name, seed, backend):
    judged(name, seed, backend)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6, 206))
@pytest.mark.parametrize("name", RULES)
def test_many_times_ten_steps(name, seed):
    judged(name, seed)


@pytest.mark.parametrize("name", RULES)
def test_defaults_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    parameter = Parameter(np.ones(3))
    ours, theirs = getattr(optim, name)([parameter]), getattr(torch.optim, name)([torch.ones(3, requires_grad=True)])
    ours = {"lr": ours.lr, **ours.param_groups[0]}
    known = {option: value for option, value in theirs.defaults.items()
             if option not in ("foreach", "fused", "capturable", "differentiable")}
    if name == "AdamW":
        known.setdefault("decoupled_weight_decay", True)
    if name == "Adam":
        known.setdefault("decoupled_weight_decay", False)
    assert {option: ours[option] for option in known} == known
    assert set(ours) - {"params", "lr_scale"} == set(known)


def test_both_ways_to_write_momentum_are_one():
    """v = mu v - lr g, x += v; and v = rho v + g, x -= lr v: the same path where lr stays."""
    rng = np.random.default_rng(0)
    parameter = Parameter(rng.standard_normal(5))
    x, v = parameter.value.copy(), np.zeros(5)
    optimizer = optim.SGD([parameter], lr=0.05, momentum=0.9)
    for _ in range(20):
        gradient = rng.standard_normal(5)
        parameter.grad = gradient + parameter.value
        v = 0.9 * v - 0.05 * (gradient + x)
        x = x + v
        optimizer.step()
        np.testing.assert_allclose(parameter.value, x, rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_all_parameters_take_one_launch(name, monkeypatch):
    from fastnet.kernels.cpu import update
    calls, launch = [], update._launch
    monkeypatch.setattr(update, "_launch", lambda *args: (calls.append(args[0]), launch(*args)))
    params = [Parameter(np.ones(shape, np.float32)) for shape in ((3,), (4, 5), (20_000,), (), (2, 3, 4, 5))]
    optimizer = getattr(optim, name)(params, lr=0.1)
    for count in (1, 2):
        for parameter in params:
            parameter.grad = np.ones(parameter.shape, np.float32)
        optimizer.step()
        assert len(calls) == count
    params[1].grad = None
    optimizer.step()
    params[1].grad = np.ones((4, 5), np.float32)
    optimizer.step()
    counted = name not in ("SGD", "RMSprop")     # of different age, which their rules ask for
    assert len(calls) == 4 + counted


@pytest.mark.parametrize("name", RULES)
def test_the_same_bits_for_any_number_of_threads(name):
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        try:
            rng = np.random.default_rng(0)
            params = [Parameter(rng.standard_normal(shape).astype(np.float32)) for shape in ((100_003,), (7, 5), (3,))]
            optimizer = getattr(optim, name)(params, lr=0.1)
            for _ in range(3):
                for parameter in params:
                    parameter.grad = rng.standard_normal(parameter.shape).astype(np.float32)
                optimizer.step()
        finally:
            numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        results.append([parameter.value for parameter in params])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", RULES)
def test_an_option_that_is_switched_on_later_begins_then(name):
    option = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}.get(name, {"amsgrad": True})
    if not option.keys() <= set(RULES[name]):
        return
    params = [Parameter(np.ones(3)), Parameter(np.ones(4))]
    optimizer = getattr(optim, name)(params, lr=0.1, **({"eps": 0.1} if name != "SGD" else {}))
    for turn in range(3):
        for parameter in params:
            parameter.grad = np.full(parameter.shape, 1.0 + turn)
        if turn == 1:
            optimizer.param_groups[0].update(option)
        optimizer.step()
        assert np.isfinite(params[0].value).all()
    assert {*optimizer.state_names, *optimizer.state_may_have} == {
        key.partition(".")[2] for key in optimizer.state_dict() if key[0].isdigit()}


@pytest.mark.parametrize("name", RULES)
def test_maximize_climbs(name):
    parameter = Parameter(np.zeros(3))
    optimizer = getattr(optim, name)([parameter], lr=0.1, maximize=True)
    for _ in range(5):
        parameter.grad = np.array([1.0, -2.0, 0.0])
        optimizer.step()
    assert parameter.value[0] > 0 > parameter.value[1] and parameter.value[2] == 0
