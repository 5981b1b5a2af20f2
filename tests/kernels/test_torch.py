"""PyTorch, where it is installed, as an outside judge over the same table of cases, in float64."""
import numpy as np
import pytest

from . import cases
from .judge import assert_close

torch = pytest.importorskip("torch")
F = torch.nn.functional


def sides(padding):
    """(top, bottom, left, right) in the order of torch.nn.functional.pad."""
    top, bottom, left, right = padding
    return left, right, top, bottom


def convolution(x, w, b, stride, padding, dilation, groups, relu):
    y = F.conv2d(F.pad(x, sides(padding)), w, b, stride, 0, dilation, groups)
    return F.relu(y) if relu else y


def linear(x, w, b, relu):
    return F.relu(F.linear(x, w, b)) if relu else F.linear(x, w, b)


def largest(x, kernel_size, stride, padding, relu=False):
    y = F.max_pool2d(F.pad(x, sides(padding), value=-torch.inf), kernel_size, stride)
    return F.relu(y) if relu else y


def mean(x, kernel_size, stride, padding, count_include_pad=True):
    y = F.avg_pool2d(F.pad(x, sides(padding)), kernel_size, stride)
    inside = F.avg_pool2d(F.pad(torch.ones_like(x), sides(padding)), kernel_size, stride)
    return y if count_include_pad else y / inside


def normalise(x, gamma, beta, mean=None, var=None, *, eps, relu=False, silu=False):
    y = F.batch_norm(x, mean, var, gamma, beta, training=mean is None, eps=eps)
    return F.relu(y) if relu else F.silu(y) if silu else y


JUDGES = {
    "conv2d_forward": convolution,
    "linear_forward": linear,
    "maxpool2d_forward": largest,
    "maxpool2d_inference": largest,
    "avgpool2d_forward": mean,
    "global_avgpool_forward": lambda x: F.adaptive_avg_pool2d(x, 1),
    "batchnorm_forward": normalise,
    "batchnorm_inference": normalise,
    "relu_forward": F.relu,
    "silu_forward": F.silu,
    "add": lambda a, b, relu=False: F.relu(a + b) if relu else a + b,
    "concat": lambda *arrays: torch.cat(arrays, 1),
    "flatten": lambda x: torch.flatten(x, 1),
    "unflatten": lambda y, shape: y.reshape(shape),
    "split": lambda x, sizes: torch.split(x, list(sizes), 1),
    "sum_of_squares": lambda *arrays: torch.cat([array.flatten() for array in arrays]).norm() ** 2,
    "softmax_forward": lambda x: F.softmax(x, 1),
    "log_softmax_forward": lambda x: F.log_softmax(x, 1),
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
        assert_close(ours, theirs.detach().numpy())
    if outputs:
        rng = np.random.default_rng(1)
        dys = [cases.reals(rng, np.shape(output)) for output in outputs]
        torch.autograd.backward(wanted, [torch.tensor(dy) for dy in dys])
        for ours, tensor in zip(cases.gradients(ops, case, arrays, results, dys), tensors, strict=True):
            assert (ours is None) == (tensor is None)
            if tensor is not None:
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
