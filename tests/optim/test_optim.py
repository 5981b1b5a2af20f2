"""Optimisers: steps recomputed by hand, PyTorch as outside judge, and what they refuse."""
import re
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from fastnet import kernels, optim
from fastnet.optim import SGD, Adagrad, Adam, AdamW, Muon, NAdam, RMSprop, decay_groups
from fastnet.parameter import Parameter

SGD_OPTIONS = [dict(momentum=m, dampening=d, weight_decay=w, nesterov=n)
               for m, d, w, n in product((0.0, 0.9), (0.0, 0.3), (0.0, 0.1), (False, True)) if not n or (m and not d)]
ADAM_OPTIONS = [dict(betas=b, eps=e, weight_decay=w)
                for b, e, w in product(((0.9, 0.999), (0.0, 0.5)), (1e-8, 1e-2), (0.0, 0.1))]


@pytest.fixture(params=kernels.BACKENDS)
def backend(request):
    return request.param


def parameters(dtype=np.float64, shapes=((4, 3, 2, 2), (5,)), seed=0):
    rng = np.random.default_rng(seed)
    result = [Parameter(rng.normal(size=shape).astype(dtype)) for shape in shapes]
    for parameter in result:
        parameter.grad = rng.normal(size=parameter.shape).astype(dtype)
    return result


def test_sgd_by_hand(backend):
    parameter = Parameter(np.array([1.0, -2.0]))
    optimizer = SGD([parameter], lr=0.1, momentum=0.5, weight_decay=0.1, backend=backend)
    parameter.grad = np.array([1.0, 1.0])
    optimizer.step()  # g = v = (1.1, 0.8)
    np.testing.assert_allclose(parameter.value, [0.89, -2.08], rtol=1e-15)
    parameter.grad = np.array([0.0, 2.0])
    optimizer.step()  # g = (0.089, 1.792), v = (0.639, 2.192)
    np.testing.assert_allclose(parameter.value, [0.8261, -2.2992], rtol=1e-15)


def test_nesterov_by_hand(backend):
    parameter = Parameter(np.array([1.0]))
    optimizer = SGD([parameter], lr=0.1, momentum=0.5, nesterov=True, backend=backend)
    for gradient, expected in ((2.0, 1 - 0.1 * 3.0), (1.0, 0.7 - 0.1 * 2.0)):  # v = 2, 2; g + 0.5 v = 3, 2
        parameter.grad = np.array([gradient])
        optimizer.step()
        np.testing.assert_allclose(parameter.value, [expected], rtol=1e-15)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_by_hand(backend, decoupled):
    value, m, v = 1.0, 0.0, 0.0
    parameter = Parameter(np.array([value]))
    make = AdamW if decoupled else Adam
    optimizer = make([parameter], lr=0.1, betas=(0.5, 0.75), eps=1e-3, weight_decay=0.2, backend=backend)
    for t, gradient in ((1, 2.0), (2, -1.0)):
        parameter.grad = np.array([gradient])
        optimizer.step()
        if decoupled:
            value -= 0.1 * 0.2 * value
        else:
            gradient += 0.2 * value
        m, v = 0.5 * m + 0.5 * gradient, 0.75 * v + 0.25 * gradient**2
        value -= 0.1 * (m / (1 - 0.5**t)) / ((v / (1 - 0.75**t)) ** 0.5 + 1e-3)
        np.testing.assert_allclose(parameter.value, [value], rtol=1e-14)


@pytest.mark.parametrize("name, options", [
    *(("SGD", options) for options in SGD_OPTIONS),
    *((name, options) for name in ("Adam", "AdamW") for options in ADAM_OPTIONS)])
def test_torch_agrees_over_five_steps(backend, name, options):
    torch = pytest.importorskip("torch")
    ours = parameters()
    theirs = [torch.tensor(parameter.value.copy(), requires_grad=True) for parameter in ours]
    optimizer = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}[name](ours, lr=0.05, backend=backend, **options)
    judge = getattr(torch.optim, name)(theirs, lr=0.05, **options)
    rng = np.random.default_rng(1)
    for step in range(5):
        optimizer.lr = judge.param_groups[0]["lr"] = 0.05 / (step + 1)
        for parameter, other in zip(ours, theirs, strict=True):
            parameter.grad = rng.normal(size=parameter.shape)
            other.grad = torch.tensor(parameter.grad.copy())
        optimizer.step()
        judge.step()
    for parameter, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(parameter.value, other.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("max_norm", [0.5, 8.0, 100.0])  # clips always, at times, never
@pytest.mark.parametrize("name, options", [
    ("SGD", {}), ("SGD", dict(momentum=0.9, nesterov=True)), ("SGD", dict(momentum=0.9, dampening=0.3)),
    ("Adam", dict(weight_decay=0.1)), ("AdamW", {})], ids=str)
def test_torch_agrees_on_clipped_gradients(backend, name, options, max_norm, dtype, rtol):
    """Two groups, one with decay and a rate of its own, over five steps. Eps is large, because Adam does not otherwise
    see by what a gradient was multiplied."""
    torch = pytest.importorskip("torch")
    if name != "SGD":
        options = {**options, "eps": 0.1}
    ours = parameters(dtype, ((4, 3, 2, 2), (5,), (200, 100)))
    theirs = [torch.tensor(parameter.value.copy(), requires_grad=True) for parameter in ours]
    optimizer = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}[name](
        [{"params": ours[:1], "weight_decay": 0.2, "lr_scale": 3.0}, {"params": ours[1:]}], lr=0.05, max_norm=max_norm,
        backend=backend, **options)
    judge = getattr(torch.optim, name)(
        [{"params": theirs[:1], "weight_decay": 0.2, "lr": 0.15}, {"params": theirs[1:]}], lr=0.05, **options)
    assert optimizer.grad_norm is None
    rng, norms = np.random.default_rng(1), []
    for step in range(5):
        for parameter, other in zip(ours, theirs, strict=True):
            parameter.grad = (rng.normal(size=parameter.shape) / (10 + 10 * step)).astype(dtype)
            other.grad = torch.tensor(parameter.grad)
        before = [parameter.grad.copy() for parameter in ours]
        optimizer.step()
        norms.append(torch.nn.utils.clip_grad_norm_(theirs, max_norm).item())
        judge.step()
        assert optimizer.grad_norm == pytest.approx(norms[-1], rel=rtol)
        for parameter, other, grad in zip(ours, theirs, before, strict=True):
            np.testing.assert_allclose(parameter.value, other.detach().numpy(), rtol=rtol, atol=rtol)
            np.testing.assert_array_equal(parameter.grad, grad)
    assert (max(norms) > max_norm, min(norms) > max_norm) == {0.5: (True, True), 8.0: (True, False)}.get(
        max_norm, (False, False))


def test_clipping_by_hand(backend):
    first, second = Parameter(np.array([1.0])), Parameter(np.array([[0.0, 2.0]]))
    frozen = Parameter(np.array([1.0]), requires_grad=False)
    optimizer = SGD([first, second, frozen], lr=1.0, max_norm=1.0, backend=backend)
    first.grad, second.grad = np.array([3.0]), np.array([[0.0, -4.0]])
    optimizer.step()
    assert optimizer.grad_norm == 5.0
    np.testing.assert_allclose(first.value, [1 - 0.6], rtol=1e-6)
    np.testing.assert_allclose(second.value, [[0.0, 2.8]], rtol=1e-6)
    np.testing.assert_array_equal(second.grad, [[0.0, -4.0]])
    first.grad, second.grad = np.array([0.0]), np.array([[0.5, 0.0]])
    before = first.value.copy(), second.value.copy()
    optimizer.step()  # short enough
    assert optimizer.grad_norm == 0.5
    np.testing.assert_array_equal(first.value, before[0])
    np.testing.assert_array_equal(second.value, before[1] - second.grad)


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_gradients_below_the_norm_are_left_as_they_are(backend, make):
    plain, limited = parameters(np.float32), parameters(np.float32)
    make(plain, lr=0.1, weight_decay=0.1, backend=backend).step()
    make(limited, lr=0.1, weight_decay=0.1, max_norm=1e6, backend=backend).step()
    for a, b in zip(plain, limited, strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_a_norm_that_is_not_finite_passes_as_in_torch(backend):
    torch = pytest.importorskip("torch")
    for wrong in (np.nan, np.inf):
        ours = parameters()
        ours[1].grad[2] = wrong
        theirs = [torch.tensor(parameter.value.copy(), requires_grad=True) for parameter in ours]
        for parameter, other in zip(ours, theirs, strict=True):
            other.grad = torch.tensor(parameter.grad)
        optimizer = SGD(ours, lr=0.1, weight_decay=0.1, max_norm=1.0, backend=backend)
        with np.errstate(invalid="ignore"):  # NumPy has a word to say about 0 * inf
            optimizer.step()
        torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        torch.optim.SGD(theirs, lr=0.1, weight_decay=0.1).step()
        np.testing.assert_equal(optimizer.grad_norm, wrong)
        for parameter, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(parameter.value, other.detach().numpy(), rtol=1e-12)


def entries(optimizer):
    """What a state has for each parameter."""
    return [key for key in optimizer.state_dict() if key not in ("lr", "max_norm") and not key.startswith("group ")]


def test_max_norm_may_be_set_later(backend):
    params = parameters()
    optimizer = SGD(params, lr=0.1, max_norm=0.5, backend=backend)
    optimizer.step()
    assert not entries(optimizer) and optimizer.state_dict()["max_norm"] == 0.5
    optimizer.max_norm = None
    before = params[0].value.copy()
    optimizer.step()
    assert optimizer.grad_norm is None
    np.testing.assert_allclose(params[0].value, before - 0.1 * params[0].grad, rtol=1e-12)
    with pytest.raises(ValueError, match="SGD: max_norm must be a finite number above 0, got 0"):
        optimizer.max_norm = 0
    assert optimizer.max_norm is None


def test_a_gradient_that_has_no_norm_is_refused_before_anything_changes():
    params = parameters()
    params[1].grad = params[1].grad + 1j
    before = params[0].value.copy()
    with pytest.raises(TypeError, match="must hold real numbers"):
        SGD(params, lr=0.1, max_norm=1.0).step()
    np.testing.assert_array_equal(params[0].value, before)


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_float32_stays_and_the_array_is_updated_in_place(backend, make):
    params = parameters(np.float32)
    values = [parameter.value for parameter in params]
    before = [value.copy() for value in values]
    make(params, lr=0.1, backend=backend).step()
    for parameter, value, old in zip(params, values, before, strict=True):
        assert parameter.value is value and value.dtype == np.float32 and (value != old).all()


def test_frozen_parameters_stay(backend):
    free, frozen = parameters()
    before = frozen.value.copy()
    optimizer = SGD([free, frozen], lr=0.1, momentum=0.9, weight_decay=0.1, backend=backend)
    frozen.requires_grad = False
    optimizer.step()
    np.testing.assert_array_equal(frozen.value, before)
    assert entries(optimizer) == ["0.momentum_buffer"]


def test_parameters_without_gradient_stay_and_do_not_age(backend):
    used, unused = parameters()
    before = unused.value.copy()
    unused.grad, late = None, unused.grad
    optimizer = Adam([used, unused], weight_decay=0.1, backend=backend)
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(unused.value, before)
    unused.grad = late
    optimizer.step()
    state = optimizer.state_dict()
    assert (state["0.step"], state["1.step"]) == (3, 1)


@pytest.mark.parametrize("make", [SGD, Adam])
def test_a_gradient_of_another_shape_is_refused_before_anything_changes(make):
    params = parameters()
    before = [parameter.value.copy() for parameter in params]
    params[1].grad = np.zeros((5, 1))
    with pytest.raises(ValueError, match=rf"{make.__name__}: got a gradient of shape \(5, 1\) .* of shape \(5,\)"):
        make(params, lr=0.1).step()
    for parameter, old in zip(params, before, strict=True):
        np.testing.assert_array_equal(parameter.value, old)


def test_groups_and_decay_groups(backend):
    weight, bias = parameters()
    weight.grad, bias.grad = np.zeros_like(weight.value), np.zeros_like(bias.value)
    old_weight, old_bias = weight.value.copy(), bias.value.copy()
    groups = decay_groups([weight, bias])
    assert groups == [{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}]
    optimizer = SGD(groups, lr=0.5, weight_decay=0.1, backend=backend)
    optimizer.step()
    np.testing.assert_allclose(weight.value, 0.95 * old_weight, rtol=1e-15)
    np.testing.assert_array_equal(bias.value, old_bias)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.0, 0.0]


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_lr_scale_multiplies_the_rate_of_its_group(backend, make):
    scaled, plain, judge = (parameters(shapes=((4, 3),))[0] for _ in range(3))
    optimizer = make([{"params": [scaled], "lr_scale": 3.0}, {"params": [plain]}], lr=0.5, weight_decay=0.1,
                     backend=backend)
    for lr in (0.1, 0.02):  # as a schedule would
        optimizer.lr = lr
        optimizer.step()
    faster, slower = (make([judge], lr=0.5, weight_decay=0.1, backend=backend) for _ in range(2))
    start = judge.value.copy()
    for judged, optimizer, factor in ((scaled, faster, 3), (plain, slower, 1)):
        judge.value[...] = start
        for lr in (0.1, 0.02):
            optimizer.lr = factor * lr
            optimizer.step()
        np.testing.assert_allclose(judged.value, judge.value, rtol=1e-12)


@pytest.mark.parametrize("make, options", [
    (SGD, {"momentum": 0.9}), (SGD, {}), (Adam, {}), (AdamW, {}), (Muon, {"orthogonal": False}), (Adagrad, {}),
    (Adam, {"amsgrad": True}), (NAdam, {}), (RMSprop, {}), (RMSprop, {"momentum": 0.5, "centered": True})], ids=str)
def test_a_loaded_state_goes_on_bit_by_bit(backend, make, options):
    def steps(optimizer, params, seeds):
        for seed in seeds:
            for parameter, fresh in zip(params, parameters(np.float32, seed=seed), strict=True):
                parameter.grad = fresh.grad
            optimizer.step()

    through = parameters(np.float32)
    first = make(through, lr=0.1, backend=backend, **options)
    steps(first, through, (1, 2))
    resumed = [Parameter(parameter.value) for parameter in through]
    second = make(resumed, lr=0.7, backend=backend, **options)
    second.load_state_dict(first.state_dict())
    assert second.lr == 0.1
    steps(first, through, (3, 4))
    steps(second, resumed, (3, 4))
    for a, b in zip(through, resumed, strict=True):
        np.testing.assert_array_equal(a.value, b.value)


def test_options_that_were_assigned_are_part_of_the_state():
    first, second = (Adam(decay_groups(parameters()), weight_decay=0.1, max_norm=limit) for limit in (0.5, None))
    first.param_groups[0].update(betas=(0.5, 0.6), lr_scale=0.25, maximize=True)
    second.load_state_dict(first.state_dict())
    assert [{**group, "params": None} for group in second.param_groups] == [
        {**group, "params": None} for group in first.param_groups] and second.max_norm == 0.5
    assert type(second.param_groups[0]["maximize"]) is bool and second.param_groups[1]["weight_decay"] == 0
    old = {key: value for key, value in first.state_dict().items() if not key.startswith(("group", "max_norm"))}
    third = Adam(decay_groups(parameters()), betas=(0.1, 0.2), max_norm=2)
    third.load_state_dict(old)      # one of long ago
    assert third.param_groups[0]["betas"] == (0.1, 0.2) and third.max_norm == 2
    third.max_norm = None
    second.load_state_dict(third.state_dict())
    assert second.max_norm is None


def test_the_optimiser_of_ones_own_that_the_docstring_shows():
    """As it stands there, against the same in NumPy; groups, clipping, states and copies come with it."""
    found = {"Optimizer": optim.Optimizer, "np": np}
    lines = re.findall(r"^    (?:>>>|\.\.\.) ?(.*)$", optim.Optimizer.__doc__, re.MULTILINE)
    exec("\n".join(lines), found)
    assert len(lines) <= 11
    params, twins = parameters(), parameters()
    optimizer = found["Signs"]([{"params": params[:1], "beta": 0.5}, {"params": params[1:], "lr_scale": 0.1}], lr=0.2)
    means = [np.zeros(twin.shape) for twin in twins]
    for _ in range(3):
        optimizer.step()
        for twin, mean, beta, lr in zip(twins, means, (0.5, 0.9), (0.2, 0.02), strict=True):
            mean += (1 - beta) * (twin.grad - mean)
            twin.value = twin.value - lr * np.sign(mean)
    for parameter, twin in zip(params, twins, strict=True):
        np.testing.assert_allclose(parameter.value, twin.value, rtol=1e-12)
    other = found["Signs"]([{"params": parameters()[:1]}, {"params": parameters()[1:]}])
    other.load_state_dict(optimizer.state_dict())
    assert other.state_dict().keys() == optimizer.state_dict().keys() and other.param_groups[0]["beta"] == 0.5
    with pytest.raises(ValueError, match="Signs: beta must be a finite number of at least 0 and below 1, got 2"):
        found["Signs"](params, beta=2)


def test_a_state_that_does_not_fit_is_refused_and_nothing_changes():
    params = parameters()
    optimizer = Adam(params, lr=0.1)
    optimizer.step()
    state = optimizer.state_dict()
    for change, message in [
        ({"7.step": 1}, "state_dict holds what is unexpected: '7.step'"),
        ({"0.exp_avg": np.zeros(3)}, r"state_dict\['0.exp_avg'\] must have shape \(4, 3, 2, 2\), got \(3,\)"),
        ({"1.exp_avg_sq": None}, "state_dict must hold '1.exp_avg_sq'; it has none"),
        ({"lr": None}, "state_dict must hold 'lr'; it has none"),
        ({"lr": -1.0}, r"state_dict\['lr'\] must be a finite number of at least 0, got -1.0"),
        ({"lr": np.array("x")}, r"state_dict\['lr'\] must hold real numbers"),
        ({"lr": np.ones(2)}, r"state_dict\['lr'\] must be one number, got an array of shape \(2,\)"),
        ({"0.exp_avg": np.zeros((4, 3, 2, 2), complex)}, r"state_dict\['0.exp_avg'\] must hold real numbers"),
        ({"1.exp_avg": np.ma.zeros(5)}, r"state_dict\['1.exp_avg'\] is a masked array"),
        ({"1.step": 0.5}, r"state_dict\['1.step'\] must be an integer of at least 0, got 0.5"),
        ({"1.step": -1}, r"state_dict\['1.step'\] must be an integer of at least 0, got -1"),
        ({"group 0.eps": -1.0}, "eps must be a finite number of at least 0, got -1"),
        ({"group 0.betas": 0.5}, r"state_dict\['group 0.betas'\] must have shape \(2,\), got \(\)"),
        ({"group 0.amsgrad": 1}, "amsgrad must be True or False, got 1"),
        ({"group 7.eps": 1}, "state_dict holds what is unexpected: 'group 7.eps'"),
        ({"max_norm": 0}, r"state_dict\['max_norm'\] must be a finite number above 0, got 0"),
    ]:
        bad = {key: value for key, value in {**state, **change}.items() if value is not None}
        with pytest.raises((TypeError, ValueError), match=f"Adam: {message}"):
            optimizer.load_state_dict(bad)
    assert optimizer.state_dict().keys() == state.keys()
    assert all(np.array_equal(value, state[key]) for key, value in optimizer.state_dict().items())


@pytest.mark.parametrize("make, message", [
    (lambda p: SGD(p, lr=-0.1), "SGD: lr must be a finite number of at least 0, got -0.1"),
    (lambda p: SGD(p, lr=float("nan")), "SGD: lr must be a finite number"),
    (lambda p: SGD(p, lr="0.1"), "SGD: lr must be a finite number of at least 0, got '0.1'"),
    (lambda p: SGD(p, lr=0.1, momentum=1.0), "SGD: momentum must be .* at least 0 and below 1, got 1.0"),
    (lambda p: SGD(p, lr=0.1, weight_decay=-1), "SGD: weight_decay must be"),
    (lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=1.5), "SGD: dampening must be .* and at most 1, got 1.5"),
    (lambda p: SGD(p, lr=0.1, nesterov=True), "SGD: nesterov needs a momentum above 0 and dampening 0"),
    (lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.1, nesterov=True), "SGD: nesterov needs"),
    (lambda p: Adam(p, betas=(0.9, 1.0)), r"Adam: betas\[1\] must be .* below 1, got 1.0"),
    (lambda p: Adam(p, betas=0.9), "Adam: betas must be two numbers, got 0.9"),
    (lambda p: Adam(p, eps=float("inf")), "Adam: eps must be a finite number"),
    (lambda p: AdamW(p, weight_decay=-1), "AdamW: weight_decay must be"),
    (lambda p: NAdam(p, momentum_decay=-1), "NAdam: momentum_decay must be"),
    (lambda p: NAdam(p, decoupled_weight_decay=1), "NAdam: decoupled_weight_decay must be True or False, got 1"),
    (lambda p: RMSprop(p, alpha=1.5), "RMSprop: alpha must be .* at most 1, got 1.5"),
    (lambda p: RMSprop(p, centered=None), "RMSprop: centered must be True or False, got None"),
    (lambda p: Adagrad(p, initial_accumulator_value=-1), "Adagrad: initial_accumulator_value must be"),
    (lambda p: Adam(p, maximize=2), "Adam: maximize must be True or False, got 2"),
    (lambda p: Adam(p, amsgrad=2), "Adam: amsgrad must be True or False, got 2"),
    (lambda p: SGD(p, lr=0.1, max_norm=0.0), "SGD: max_norm must be a finite number above 0, got 0.0"),
    (lambda p: Adam(p, max_norm=-1), "Adam: max_norm must be a finite number above 0, got -1"),
    (lambda p: AdamW(p, max_norm=float("inf")), "AdamW: max_norm must be a finite number above 0, got inf"),
    (lambda p: SGD([{"params": p, "max_norm": 1.0}], lr=0.1), "SGD: params: a group .*; got .* max_norm,"),
    (lambda p: Muon(p), r"Muon: params: a parameter of shape \(5,\) is no matrix; put it into a group with 'orthogona"),
    (lambda p: Muon(p[:1], ns_steps=0), "Muon: ns_steps must be an integer of at least 1 and at most 100, got 0"),
    (lambda p: Muon(p[:1], lr=-1), "Muon: lr must be"),
    (lambda p: SGD([], lr=0.1), "SGD: params must hold parameters, got none"),
    (lambda p: SGD([{"params": []}], lr=0.1), "SGD: params must hold parameters, got none"),
    (lambda p: SGD([*p, p[0]], lr=0.1), "SGD: params must .*: a parameter was given twice"),
    (lambda p: SGD([{"params": p}, {"params": p[:1]}], lr=0.1), "SGD: params must .*: a parameter was given twice"),
    (lambda p: SGD([{"params": p, "lr": 1.0}], lr=0.1), "SGD: params: a group has 'params' and may set .*; got .* lr,"),
    (lambda p: SGD([{"params": p, "momentum": 2}], lr=0.1), "SGD: momentum must be"),
    (lambda p: Adam([{"params": p, "lr_scale": -1}]), "Adam: lr_scale must be a finite number of at least 0, got -1"),
    (lambda p: SGD(p, lr=0.1, backend="gpu"), "SGD: backend must be 'naive' or 'cpu', got 'gpu'"),
    (lambda p: SGD(p[0], lr=0.1), "SGD: params must be a list of Parameters, such as net.parameters"),
])
def test_bad_arguments(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(parameters())


def test_arrays_instead_of_parameters():
    with pytest.raises(TypeError, match=r"SGD: params must be Parameters, such as net.parameters\(\), got an array of"):
        SGD([np.zeros(3)], lr=0.1)


def test_a_bad_learning_rate_is_refused_later_too():
    optimizer = SGD(parameters(), lr=0.1)
    with pytest.raises(ValueError, match="SGD: lr must be"):
        optimizer.lr = float("inf")
    assert optimizer.lr == 0.1


def test_repr():
    assert repr(SGD(parameters(), lr=0.1)) == ("SGD(2 parameters of 53 numbers, lr=0.1, momentum=0.0, dampening=0.0, "
                                               "weight_decay=0.0, nesterov=False, maximize=False, max_norm=None)")
    assert "decoupled_weight_decay=True, max_norm=0.5)" in repr(AdamW(parameters(), max_norm=0.5))


# A step that is refused

def torn(change):
    """Two parameters after a step, the second one or the optimiser changed so that the next step is refused."""
    params = parameters(np.float32)
    optimizer = Adam([{"params": params[:1]}, {"params": params[1:]}], lr=0.1)
    optimizer.step()
    change(params[1], optimizer)
    return params, optimizer


def read_only(parameter, optimizer):
    parameter.value.flags.writeable = False


@pytest.mark.parametrize("change, error, message", [
    (lambda p, o: setattr(p, "grad", np.ones(5, complex)), TypeError, "Adam: parameter 1's grad must hold real num"),
    (lambda p, o: setattr(p, "grad", [1.0] * 5), TypeError, "Adam: parameter 1's grad must be a NumPy array, got "),
    (lambda p, o: setattr(p, "grad", np.ma.ones(5)), TypeError, "Adam: parameter 1's grad is a masked array"),
    (lambda p, o: setattr(p, "grad", np.ones(6)), ValueError, r"Adam: got a gradient of shape \(6,\)"),
    (read_only, ValueError, "Adam: parameter 1 is read-only"),
    (lambda p, o: (setattr(p, "value", np.ones(6)), setattr(p, "grad", np.ones(6))), ValueError,
     r"Adam: parameter 1 has shape \(6,\), and its exp_avg is of shape \(5,\)"),
    (lambda p, o: o.param_groups[1].update(eps="x"), TypeError, "Adam: eps must be a finite number"),
    (lambda p, o: o.param_groups[1].update(betas=(1, 2, 3)), ValueError, "Adam: betas must be two numbers"),
    (lambda p, o: o.param_groups[1].update(momentum=0.9), ValueError, "Adam: params: a group .*; got .*momentum"),
    (lambda p, o: o.param_groups[1].update(params=()), ValueError, "Adam: param_groups must keep its parameters"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_step_that_is_refused_changes_nothing(change, error, message):
    params, optimizer = torn(change)
    values, state = [parameter.value.copy() for parameter in params], optimizer.state_dict()
    with pytest.raises(error, match=message):
        optimizer.step()
    for parameter, value in zip(params, values, strict=True):
        np.testing.assert_array_equal(parameter.value, value)
    assert all(np.array_equal(value, state[key]) for key, value in optimizer.state_dict().items())


@pytest.mark.parametrize("make", [
    lambda p: SGD(p, 0.1, momentum=0.9), Adam, AdamW, lambda p: Muon(p, 0.1), NAdam, Adagrad,
    lambda p: Adam(p, amsgrad=True), lambda p: RMSprop(p, momentum=0.5, centered=True)])
def test_the_state_follows_a_parameter_into_another_dtype(backend, make):
    params = parameters(np.float32, ((4, 3), (5, 2)))
    optimizer = make(params)
    optimizer.step()
    for parameter in params:
        parameter.astype(np.float64)
        parameter.grad = parameter.grad.astype(np.float64)
    optimizer.step()
    assert {parameter.value.dtype for parameter in params} == {np.dtype(np.float64)}
    assert {value.dtype for key, value in optimizer.state_dict().items() if value.ndim} == {np.dtype(np.float64)}


def test_options_assigned_later_count_from_the_next_step():
    weight, bias = parameters(np.float64, ((4, 3), (5,)))
    optimizer = SGD([weight, bias], lr=np.float32(0.5), weight_decay=Fraction(1, 4))
    optimizer.param_groups[0]["weight_decay"] = np.float16(0)
    before = weight.value.copy()
    optimizer.step()
    np.testing.assert_allclose(weight.value, before - 0.5 * weight.grad, rtol=1e-15)


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_a_norm_of_very_many_equal_numbers_is_right(make):
    """A million of them, whose squares a sum in float32 would lose."""
    parameter = Parameter(np.zeros(2**20, np.float32))
    parameter.grad = np.full(2**20, 0.1, np.float32)
    optimizer = make([parameter], lr=0.1, max_norm=1.0)
    optimizer.step()
    assert optimizer.grad_norm == pytest.approx(np.float64(np.float32(0.1)) * 2**10, rel=1e-12)


def changes():
    """What may happen to one of some parameters between two steps."""
    def another_array(parameter, optimizer):
        parameter.value = parameter.value + 1

    def options(parameter, optimizer):
        optimizer.param_groups[0]["weight_decay"] = 0.5

    def transposed(parameter, optimizer):
        parameter.grad = np.asfortranarray(parameter.grad)

    def shut(parameter, optimizer):
        parameter.grad = parameter.grad.copy()
        parameter.grad.flags.writeable = False

    def wider(parameter, optimizer):
        parameter.grad = parameter.grad.astype(np.float64)

    def without(parameter, optimizer):
        parameter.grad = None

    return [another_array, options, transposed, shut, wider, without]


@pytest.mark.parametrize("change", changes(), ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.Adagrad, optim.RMSprop])
def test_a_change_between_two_steps_is_noticed(kind, change):
    """Equal to the last bit with an optimiser that looks at one parameter after the other."""
    rng = np.random.default_rng(3)
    shapes = (4, 3), (5,), (3, 2, 2)
    starts = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    together = [Parameter(start) for start in starts]
    alone = [Parameter(start) for start in starts]
    optimizers = [kind(together, lr=0.1), *(kind([one], lr=0.1) for one in alone)]
    for step in range(3):
        for one, other in zip(together, alone, strict=True):
            one.grad = other.grad = rng.standard_normal(one.shape).astype(np.float32)
        if step == 1:
            change(together[1], optimizers[0])
            for i, optimizer in enumerate(optimizers[1:]):
                if i == 1 or change.__name__ == "options":
                    change(alone[i], optimizer)
        for optimizer in optimizers:
            optimizer.step()
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one.value, other.value)


@pytest.mark.parametrize("wrong", [np.zeros((3, 4), np.float32), np.zeros((4, 3), complex), [1.0]])
def test_a_refused_step_changes_nothing_of_any_group(wrong):
    rng = np.random.default_rng(4)
    parameters = [Parameter(rng.standard_normal((4, 3)).astype(np.float32)) for _ in range(4)]
    optimizer = optim.Adam([{"params": parameters[:2]}, {"params": parameters[2:]}])
    for parameter in parameters:
        parameter.grad = np.ones((4, 3), np.float32)
    optimizer.step()
    before, state = [parameter.value.copy() for parameter in parameters], optimizer.state_dict()
    parameters[3].grad = wrong
    with pytest.raises((TypeError, ValueError)):
        optimizer.step()
    assert all((parameter.value == one).all() for parameter, one in zip(parameters, before, strict=True))
    for name, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
