"""PyTorch, where it is installed, as an outside judge over the same table of cases, in float64."""
import numpy as np
import pytest

from . import cases
from .judge import assert_close, assert_same

torch = pytest.importorskip("torch")
F = torch.nn.functional


def sides(padding):
    """(top, bottom, left, right) in the order of torch.nn.functional.pad."""
    top, bottom, left, right = padding
    return left, right, top, bottom


def convolution(x, w, b, stride, padding, dilation, groups):
    return F.conv2d(F.pad(x, sides(padding)), w, b, stride, 0, dilation, groups)


def largest(x, kernel_size, stride, padding):
    return F.max_pool2d(F.pad(x, sides(padding), value=-torch.inf), kernel_size, stride)


def mean(x, kernel_size, stride, padding, count_include_pad=True):
    y = F.avg_pool2d(F.pad(x, sides(padding)), kernel_size, stride)
    inside = F.avg_pool2d(F.pad(torch.ones_like(x), sides(padding)), kernel_size, stride)
    return y if count_include_pad else y / inside


def framed(x, padding, mode, value=0.0):
    return F.pad(x, sides(padding), mode, value if mode == "constant" else None)


def resized(x, size, mode="nearest", align_corners=False, steps=None):
    """`steps` are what PyTorch works out of a scale_factor."""
    corners = align_corners if mode == "bilinear" else None
    if steps is None:
        return F.interpolate(x, size, mode=mode, align_corners=corners)
    return F.interpolate(x, scale_factor=tuple(1 / step for step in steps), mode=mode, align_corners=corners)


def nails(x, scale_factor):
    y = x.new_zeros(*x.shape[:2], *(length * r for length, r in zip(x.shape[2:], scale_factor, strict=True)))
    y[:, :, ::scale_factor[0], ::scale_factor[1]] = x
    return y


def normalise(x, gamma, beta, mean=None, var=None, *, eps):
    return F.batch_norm(x, mean, var, gamma, beta, training=mean is None, eps=eps)


def track(running_mean, running_var, mean, var, num_batches_tracked, momentum, count):
    """The running statistics after a batch of `count` values that has this mean and this biased variance."""
    x = mean + (var * count / 2).sqrt() * torch.tensor([[1.0], [-1], *[[0]] * (count - 2)], dtype=mean.dtype)
    statistics = running_mean.detach().clone(), running_var.detach().clone()
    momentum = 1 / (int(num_batches_tracked) + 1) if momentum is None else momentum
    F.batch_norm(x, *statistics, training=True, momentum=momentum)
    return *statistics, torch.tensor(num_batches_tracked) + 1


FUNCTIONS = {
    "relu": lambda x, alpha, beta: F.relu(x),
    "leaky_relu": lambda x, alpha, beta: F.leaky_relu(x, alpha),
    "hardtanh": F.hardtanh,
    "sigmoid": lambda x, alpha, beta: torch.sigmoid(x),
    "tanh": lambda x, alpha, beta: torch.tanh(x),
    "elu": lambda x, alpha, beta: F.elu(x, alpha),
    "silu": lambda x, alpha, beta: F.silu(x),
    "gelu": lambda x, alpha, beta: F.gelu(x),
    "gelu_tanh": lambda x, alpha, beta: F.gelu(x, approximate="tanh"),
    "hardswish": lambda x, alpha, beta: F.hardswish(x),
    "mish": lambda x, alpha, beta: F.mish(x),
    "selu": lambda x, alpha, beta: F.selu(x),
    "hardsigmoid": lambda x, alpha, beta: F.relu6(x + 3) / 6,    # F.hardsigmoid divides by a float32 number
    "softplus": lambda x, alpha, beta: F.softplus(x, alpha, beta),
    "softsign": lambda x, alpha, beta: F.softsign(x),
    "log_sigmoid": lambda x, alpha, beta: F.logsigmoid(x),
    "celu": lambda x, alpha, beta: F.celu(x, alpha),
    "softshrink": lambda x, alpha, beta: F.softshrink(x, alpha),
    "hardshrink": lambda x, alpha, beta: F.hardshrink(x, alpha),
    "tanhshrink": lambda x, alpha, beta: F.tanhshrink(x),
    "threshold": F.threshold,
}


JUDGES = {
    "conv2d_forward": convolution,
    "linear_forward": F.linear,
    "maxpool2d_forward": largest,
    "avgpool2d_forward": mean,
    "global_avgpool_forward": lambda x: F.adaptive_avg_pool2d(x, 1),
    "pad2d_forward": framed,
    "upsample2d_forward": resized,
    "adaptive_avgpool2d_forward": F.adaptive_avg_pool2d,
    "bed_of_nails_forward": nails,
    "pixel_shuffle": F.pixel_shuffle,
    "pixel_unshuffle": F.pixel_unshuffle,
    "batchnorm_forward": normalise,
    "batchnorm_inference": normalise,
    "batchnorm_track": track,
    "activation_forward": lambda x, function, alpha=0.0, beta=0.0: FUNCTIONS[function](x, alpha, beta),
    "add": torch.add,
    "convert": lambda x, dtype: x.to(getattr(torch, dtype)),
    "concat": lambda *arrays, dim=1: torch.cat(arrays, dim),
    "permute": torch.permute,
    "channel_shuffle": lambda x, groups: F.channel_shuffle(x[..., None, None], groups)[..., 0, 0],
    "zeros": lambda like, shape: like.new_zeros(shape),
    "multiply": torch.mul,
    "prelu_forward": F.prelu,
    "mean": lambda x, dims: x.mean(dims, keepdim=True),
    "flatten": lambda x: torch.flatten(x, 1),
    "unflatten": lambda y, shape: y.reshape(shape),
    "split": lambda x, sizes, dim=1: torch.split(x, list(sizes), dim),
    "sum_of_squares": lambda *arrays: torch.cat([array.flatten() for array in arrays]).norm() ** 2,
    "softmax_forward": lambda x, dim=1: F.softmax(x, dim),
    "log_softmax_forward": lambda x, dim=1: F.log_softmax(x, dim),
    "softmax_cross_entropy": lambda x, labels, **options: F.cross_entropy(x, torch.tensor(labels), **options),
}


@pytest.mark.parametrize("case", [case for case in cases.CASES if case.op in JUDGES], ids=cases.name)
def test_values_and_gradients(ops, case):
    arrays = cases.operands(case, cases.reals, np.float64)
    results = cases.forward(ops, case, arrays)
    tensors = [None if array is None else torch.tensor(array, requires_grad=True) for array in arrays]
    if case.op == "batchnorm_inference":
        tensors[3:] = [tensor.detach() for tensor in tensors[3:]]
    wanted = JUDGES[case.op](*tensors, **case.options)
    wanted = list(wanted) if isinstance(wanted, tuple) else [wanted]
    outputs = cases.differentiable(case, results)
    for ours, theirs in zip(outputs or results, wanted, strict=True):
        if isinstance(ours, np.ndarray) and ours.dtype.kind == "i":
            assert_same(ours, theirs.numpy())
        else:
            assert_close(ours, theirs.detach().numpy())
    if outputs:
        rng = np.random.default_rng(1)
        dys = [cases.reals(rng, np.shape(output)) for output in outputs]
        torch.autograd.backward(wanted, [torch.tensor(dy) for dy in dys])
        for ours, tensor in zip(cases.gradients(ops, case, arrays, results, dys), tensors, strict=True):
            assert (ours is None) == (tensor is None or not tensor.requires_grad)
            if ours is not None:
                assert_close(ours, tensor.grad.numpy())


def test_dropout_is_the_only_operation_without_a_judge():
    assert {case.op for case in cases.CASES} - set(JUDGES) == {"dropout"}


@pytest.mark.parametrize("options", [
    {}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
    {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
], ids=str)
def test_sgd(ops, options):
    gradients = np.random.default_rng(0).standard_normal((5, 4, 3))
    value, velocity = np.ones((4, 3)), np.full((4, 3), np.nan) if options.get("momentum") else None
    parameter = torch.ones(4, 3, dtype=torch.float64)
    optimiser = torch.optim.SGD([parameter], lr=0.1, **options)
    for step, gradient in enumerate(gradients):
        ops.sgd_update(value, gradient, velocity, 0.1, **options, first=step == 0)
        parameter.grad = torch.tensor(gradient)
        optimiser.step()
        assert_close(value, parameter.numpy())


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam(ops, name, decay):
    gradients = np.random.default_rng(0).standard_normal((5, 4, 3))
    value, m, v = np.ones((4, 3)), np.zeros((4, 3)), np.zeros((4, 3))
    parameter = torch.ones(4, 3, dtype=torch.float64)
    optimiser = getattr(torch.optim, name)([parameter], lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=decay)
    for step, gradient in enumerate(gradients, 1):
        ops.adam_update(value, gradient, m, v, step, 0.01, 0.8, 0.95, 1e-6, decay, decoupled=name == "AdamW")
        parameter.grad = torch.tensor(gradient)
        optimiser.step()
        assert_close(value, parameter.numpy())


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_amsgrad_rmsprop_and_adagrad(ops, decay):
    """NAdam's numbers are worked out by the optimiser, and judged there."""
    gradients = np.random.default_rng(0).standard_normal((5, 4, 3))
    (m, v, largest), (square, mean, velocity), total = *np.zeros((2, 3, 4, 3)), np.zeros((4, 3))
    for name, options, step in (
            ("Adam", {"betas": (0.8, 0.95), "amsgrad": True}, lambda value, grad, i: ops.adam_update(
                value, grad, m, v, i, 0.01, 0.8, 0.95, 1e-8, decay, largest=largest)),
            ("RMSprop", {"alpha": 0.9, "momentum": 0.5, "centered": True}, lambda value, grad, i: ops.rmsprop_update(
                value, grad, square, mean, velocity, 0.01, 0.9, 1e-8, decay, 0.5)),
            ("Adagrad", {}, lambda value, grad, i: ops.adagrad_update(value, grad, total, 0.01, 1e-10, decay))):
        value, parameter = np.ones((4, 3)), torch.ones(4, 3, dtype=torch.float64)
        optimiser = getattr(torch.optim, name)([parameter], lr=0.01, weight_decay=decay, **options)
        for i, gradient in enumerate(gradients, 1):
            step(value, gradient, i)
            parameter.grad = torch.tensor(gradient)
            optimiser.step()
            np.testing.assert_allclose(value, parameter.numpy(), rtol=1e-11)


@pytest.mark.parametrize("case", [case for case in cases.ACTIVATIONS if len(case.shapes[0]) == 1], ids=cases.name)
def test_activations_at_kinks(ops, case):
    """Integers from -8 to 8 meet every kink; the slopes there are those that PyTorch chose."""
    x = np.arange(-8.0, 9)
    tensor = torch.tensor(x, requires_grad=True)
    wanted = JUDGES[case.op](tensor, **case.options)
    wanted.backward(torch.arange(1.0, 18, dtype=torch.float64))
    results = cases.forward(ops, case, [x])
    np.testing.assert_allclose(results[0], wanted.detach(), rtol=1e-12, atol=1e-12)
    dx = cases.gradients(ops, case, [x], results, [np.arange(1.0, 18)])[0]
    np.testing.assert_allclose(dx, tensor.grad, rtol=1e-12, atol=1e-12)
