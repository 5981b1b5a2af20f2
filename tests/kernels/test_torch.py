"""PyTorch, where it is installed, as an outside judge over the same table of cases, in float64."""
import numpy as np
import pytest

from . import cases
from .cases import pools
from .judge import assert_close, assert_same

torch = pytest.importorskip("torch")
F = torch.nn.functional


def sides(padding):
    """(top, bottom, left, right) in the order of torch.nn.functional.pad."""
    top, bottom, left, right = padding
    return left, right, top, bottom


def convolution(x, w, b, stride, padding, dilation, groups):
    return F.conv2d(F.pad(x, sides(padding)), w, b, stride, 0, dilation, groups)


def transposed(x, w, b, stride, padding, output_padding, dilation, groups):
    """Whole, with as many zeros behind as output_padding may want, and cut."""
    y = F.conv_transpose2d(x, w, None, stride, 0, 0, groups, dilation)
    height, width = y.shape[2] + output_padding[0], y.shape[3] + output_padding[1]
    top, bottom, left, right = padding
    y = F.pad(y, sides((0, output_padding[0], 0, output_padding[1])))[:, :, top:height - bottom, left:width - right]
    return y if b is None else y + b[:, None, None]


def local(x, w, b, stride, padding):
    p, q, r, s, c, k = w.shape
    met = F.unfold(F.pad(x, sides(padding)), (r, s), stride=stride).reshape(len(x), c, r, s, p, q)
    y = torch.einsum("ncrspq,pqrsck->nkpq", met, w)
    return y if b is None else y + b


def padded(x, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False, value=0.0):
    """x with its padding; PyTorch itself has no more than half a kernel of it, the same on both sides. With ceil_mode
    as much more as a last window needs that starts in the image or before it."""
    more = [0, 0]
    for axis in (0, 1):
        before, after = padding[2 * axis: 2 * axis + 2]
        length = before + x.shape[2 + axis] + after
        reach = dilation[axis] * (kernel_size[axis] - 1) + 1
        starts = [start for start in range(0, length, stride[axis]) if start + reach <= length
                  or ceil_mode and start < length - after and start - stride[axis] + reach < length]
        more[axis] = max(0, starts[-1] + reach - length)
    return F.pad(x, np.add(sides(padding), (0, more[1], 0, more[0])).tolist(), value=value)


def largest(x, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    x = padded(x, kernel_size, stride, padding, dilation, ceil_mode, -torch.inf)
    return F.max_pool2d(x, kernel_size, stride, 0, dilation)


def places_of_largest(x, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    wide = padded(x, kernel_size, stride, padding, dilation, ceil_mode, -torch.inf)
    found = F.max_pool2d(wide, kernel_size, stride, 0, dilation, return_indices=True)[1]
    rows, columns = found // wide.shape[3] - padding[0], found % wide.shape[3] - padding[2]
    return rows * x.shape[3] + columns


def mean(x, kernel_size, stride, padding, count_include_pad=True, ceil_mode=False, divisor_override=None):
    where = kernel_size, stride, padding, (1, 1), ceil_mode
    total = F.avg_pool2d(padded(x, *where), kernel_size, stride, divisor_override=1)
    ones = torch.ones_like(x) if not count_include_pad else F.pad(torch.ones_like(x), sides(padding), value=1)
    ones = F.pad(ones, np.multiply(sides(padding), not count_include_pad).tolist())
    beyond = [wide - own for wide, own in zip(padded(x, *where).shape[:1:-1], ones.shape[:1:-1], strict=True)]
    counted = F.avg_pool2d(F.pad(ones, (0, beyond[0], 0, beyond[1])), kernel_size, stride, divisor_override=1)
    return total / (divisor_override or counted)


def unpooled(x, output_size):
    places = torch.tensor(pools.places(tuple(x.shape), output_size))
    flat = torch.zeros(*x.shape[:2], output_size[0] * output_size[1], dtype=x.dtype)
    return flat.scatter(2, places.flatten(2), x.flatten(2)).reshape(*x.shape[:2], *output_size)


def largest_of_regions(x, boxes, output_size, spatial_scale=1.0):
    """Each bin by itself, with PyTorch's own maximum."""
    y = []
    for image, *corners in boxes.tolist():
        left, top, right, bottom = (int(np.copysign(np.floor(abs(v * spatial_scale) + 0.5), v)) for v in corners)
        height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
        for p, q in np.ndindex(*output_size):
            edges = [top + p * height // output_size[0], top + -(-(p + 1) * height // output_size[0]),
                     left + q * width // output_size[1], left + -(-(q + 1) * width // output_size[1])]
            a, b, c, d = (max(edge, 0) for edge in edges)
            pixels = x[int(image), :, a:b, c:d]
            y.append(pixels.amax((1, 2)) if pixels.numel() else torch.zeros(x.shape[1], dtype=x.dtype))
    return torch.stack(y).reshape(len(boxes), *output_size, -1).permute(0, 3, 1, 2)


def mean_of_regions(x, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """Each sample by itself, with PyTorch's own linear interpolation, of the image with its edge twice on each side."""
    n, c, h, w = x.shape
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    y = []
    for image, *corners in boxes.tolist():
        left, top, right, bottom = (v * spatial_scale - 0.5 * aligned for v in corners)
        height, width = bottom - top, right - left
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        rows, columns = height / output_size[0], width / output_size[1]
        grid = [sampling_ratio] * 2 if sampling_ratio > 0 else [max(0, int(np.ceil(v))) for v in (rows, columns)]
        for p, q in np.ndindex(*output_size):
            points = [(left + (q + (j + 0.5) / grid[1]) * columns, top + (p + (i + 0.5) / grid[0]) * rows)
                      for i, j in np.ndindex(*grid)]
            inside = [(u, v) for u, v in points if -1 <= u <= w and -1 <= v <= h]
            if inside:
                # From -1, the first pixel of `wide`, to its last one, in PyTorch's coordinates from -1 to 1.
                at = [[2 * (u + 1) / (w + 1) - 1, 2 * (v + 1) / (h + 1) - 1] for u, v in inside]
                at = torch.tensor(at, dtype=x.dtype)[None, None]
                found = F.grid_sample(wide[int(image)][None], at, align_corners=True)
                y.append(found[0, :, 0].sum(1) / len(points))
            else:
                y.append(torch.zeros(c, dtype=x.dtype))
    return torch.stack(y).reshape(len(boxes), *output_size, -1).permute(0, 3, 1, 2)


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


def last_axes(x, gamma, beta=None, *, axes, eps, centred):
    shape = x.shape[x.ndim - axes:]
    return F.layer_norm(x, shape, gamma, beta, eps) if centred else F.rms_norm(x, shape, gamma, eps)


def track(running_mean, running_var, mean, var, num_batches_tracked, momentum, count):
    """The running statistics after a batch of `count` values that has this mean and this biased variance; the means of
    those after each sample where there are several."""
    if mean.ndim == 2:
        of_each = [track(running_mean, running_var, *one, num_batches_tracked, momentum, count)
                   for one in zip(mean, var, strict=True)]
        return *(torch.stack(some).mean(0) for some in list(zip(*of_each, strict=True))[:2]), of_each[0][2]
    x = mean + (var * count / 2).sqrt() * torch.tensor([[1.0], [-1], *[[0]] * (count - 2)], dtype=mean.dtype)
    statistics = running_mean.detach().clone(), running_var.detach().clone()
    momentum = 1 / (int(num_batches_tracked) + 1) if momentum is None else momentum
    F.batch_norm(x, *statistics, training=True, momentum=momentum)
    return *statistics, torch.tensor(num_batches_tracked) + 1


def recurrent(z, w, b, h, c, cell, reverse, batch_first):
    """A layer that reads z as it is."""
    time, state = int(batch_first), z.new_zeros(1, z.shape[0 if batch_first else 1], w.shape[1])
    h, c = (state if one is None else one[None] for one in (h, c))
    weights = [torch.eye(len(w), dtype=w.dtype), w, *([] if b is None else [torch.zeros_like(b), b])]
    y, *states = getattr(torch, cell)(z.flip(time) if reverse else z, (h, c) if cell == "lstm" else h, weights,
                                      b is not None, 1, 0.0, False, False, batch_first)
    return y.flip(time) if reverse else y, *(one[0] for one in states)


def summed(losses, sample_weight=None, scale=None):
    """The sum of losses, a row a sample or pixel."""
    scale = 1 / losses.numel() if scale is None else scale
    if sample_weight is not None:
        losses = losses * torch.tensor(sample_weight).reshape(-1, *[1] * (losses.ndim - 1))
    return scale * losses.sum()


def cross_entropy(x, labels, label_smoothing=0.0, weight=None, ignore_index=-100, gamma=0, **options):
    weight, labels = None if weight is None else torch.tensor(weight), torch.tensor(labels)
    losses = F.cross_entropy(x, labels, weight, ignore_index=ignore_index, reduction="none",
                             label_smoothing=label_smoothing)
    share = F.softmax(x, 1).gather(1, labels[:, None]).squeeze(1)
    return summed(losses * (1 - share)**gamma if gamma else losses, **options)


def soft_cross_entropy(x, targets, label_smoothing=0.0, weight=None, **options):
    weight = None if weight is None else torch.tensor(weight)
    return summed(F.cross_entropy(x, targets, weight, reduction="none", label_smoothing=label_smoothing), **options)


def nll(x, labels, weight=None, ignore_index=-100, **options):
    weight = None if weight is None else torch.tensor(weight)
    return summed(F.nll_loss(x, torch.tensor(labels), weight, ignore_index=ignore_index, reduction="none"), **options)


def margins(x, labels, p=1, margin=1.0, weight=None, **options):
    """A row a pixel: PyTorch takes no images here."""
    c, labels = x.shape[1], torch.tensor(labels)
    weight = None if weight is None else torch.tensor(weight)
    losses = F.multi_margin_loss(x.movedim(1, -1).reshape(-1, c), labels.flatten(), p, margin, weight, reduction="none")
    return summed(c * losses.reshape(labels.shape), **options)


def epsilon_softmax(x, labels, cost, epsilon=1.0, **options):
    labels = torch.tensor(labels)
    largest = epsilon * torch.logsumexp((x + torch.tensor(cost)[labels]) / epsilon, 1)
    return summed(largest - x.gather(1, labels[:, None])[:, 0], **options)


POINTWISE = {
    "squared": lambda x, t, alpha, beta: F.mse_loss(x, t, reduction="none"),
    "absolute": lambda x, t, alpha, beta: F.l1_loss(x, t, reduction="none"),
    "huber": lambda x, t, alpha, beta: F.huber_loss(x, t, "none", alpha),
    "binary_with_logits": lambda x, t, alpha, beta: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
    "kl_log": lambda x, t, alpha, beta: F.kl_div(x, t, reduction="none", log_target=True),
    "hinge": lambda x, t, alpha, beta: F.relu(1 - t * x),
    "squared_hinge": lambda x, t, alpha, beta: F.relu(1 - t * x)**2,
    "soft_margin": lambda x, t, alpha, beta: F.soft_margin_loss(x, t, reduction="none"),
    "poisson": lambda x, t, alpha, beta: F.poisson_nll_loss(x, t, reduction="none"),
}


def pointwise(x, target, weight, function, alpha=0.0, beta=0.0, scale=None):
    losses = POINTWISE[function](x, target, alpha, beta)
    return summed(losses if weight is None else losses * weight, None, scale)


def nearest(x, rows, k, metric="l2"):
    return tuple(torch.cdist(x, rows, p=int(metric[1])).topk(k, largest=False))


def penalty(value, grad, l1=0.0, l2=0.0):
    """(the penalty, grad plus its gradient)."""
    total = l1 * value.abs().sum() + l2 * value.square().sum()
    return total, grad + torch.autograd.grad(total, value)[0]


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
    "conv_transpose2d_forward": transposed,
    "locally_connected2d_forward": local,
    "linear_forward": F.linear,
    "maxpool2d_forward": largest,
    "maxpool2d_indices": places_of_largest,
    "adaptive_maxpool2d_forward": F.adaptive_max_pool2d,
    "adaptive_maxpool2d_indices": lambda x, output_size: F.adaptive_max_pool2d(x, output_size, True)[1],
    "maxunpool2d_forward": unpooled,
    "roi_pool_forward": largest_of_regions,
    "roi_align_forward": mean_of_regions,
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
    "groupnorm_forward": lambda x, gamma, beta, groups, eps: F.group_norm(x, groups, gamma, beta, eps),
    "layernorm_forward": last_axes,
    "local_response_norm_forward": F.local_response_norm,
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
    "recurrent_forward": recurrent,
    "recurrent_inference": recurrent,
    "embedding_forward": lambda w, x: F.embedding(torch.tensor(x), w),
    "softmax_forward": lambda x, dim=1: F.softmax(x, dim),
    "log_softmax_forward": lambda x, dim=1: F.log_softmax(x, dim),
    "softmax_cross_entropy": cross_entropy,
    "soft_cross_entropy": soft_cross_entropy,
    "nll_loss": nll,
    "margin_loss": margins,
    "epsilon_softmax_loss": epsilon_softmax,
    "pointwise_loss": pointwise,
    "weight_penalty": penalty,
    "nearest_rows": nearest,
    "clip_rows": lambda x, limit: x * (limit / x.norm(dim=1, keepdim=True).clamp(min=limit)),
}


@pytest.mark.parametrize("case", [case for case in cases.CASES if case.op in JUDGES], ids=cases.name)
def test_values_and_gradients(ops, case):
    arrays = cases.operands(case, cases.reals, np.float64)
    results = cases.forward(ops, case, arrays)
    tensors = [None if array is None else torch.tensor(array, requires_grad=True) for array in arrays]
    tensors = [tensor.detach() if cases.constant(case, place) and tensor is not None else tensor
               for place, tensor in enumerate(tensors)]
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


def test_only_dropout_and_features_are_without_a_judge():
    """PyTorch has no such features; tests/test_features.py has other judges."""
    assert {case.op for case in cases.CASES} - set(JUDGES) == {"dropout", "hog", "hue_histogram"}


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
