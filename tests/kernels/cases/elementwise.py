"""Activations, and what else goes element by element."""
from fastnet.kernels.activations import ACTIVATIONS as DEFINED

from .case import Case


def activation(name, function, shape, **numbers):
    return Case("activation_forward", f"{function}-{name}", (shape,), {"function": function, **numbers})


# Integers from -3 to 3 meet the kinks: of all but ReLU6 on both sides.
ACTIVATIONS = [activation(f"{len(shape)}d{suffix}", function, shape, **numbers) for function, suffix, numbers in (
    ("relu", "", {}),
    ("leaky_relu", "", {"alpha": 0.125}), ("leaky_relu", "-flat", {}),
    ("hardtanh", "", {"alpha": -1, "beta": 2}), ("hardtanh", "-relu6", {"alpha": 0.0, "beta": 6.0}),
    ("sigmoid", "", {}), ("tanh", "", {}),
    ("elu", "", {"alpha": 1.0}), ("elu", "-kink", {"alpha": 0.5}),
    ("silu", "", {}), ("gelu", "", {}), ("gelu_tanh", "", {}), ("hardswish", "", {}),
    ("mish", "", {}), ("selu", "", {}), ("hardsigmoid", "", {}), ("softsign", "", {}),
    ("log_sigmoid", "", {}), ("celu", "", {"alpha": 1.0}), ("celu", "-wide", {"alpha": 2.5}),
    ("softshrink", "", {"alpha": 0.5}), ("softshrink", "-kink", {"alpha": 1.0}), ("hardshrink", "", {"alpha": 0.5}),
    ("hardshrink", "-kink", {"alpha": 1.0}), ("hardshrink", "-none", {"alpha": 0.0}), ("tanhshrink", "", {}),
    ("threshold", "", {"alpha": 0.1, "beta": 20.0}), ("threshold", "-kink", {"alpha": -1.0, "beta": -2.0}),
    ("softplus", "", {"alpha": 1.0, "beta": 20.0}), ("softplus", "-jump", {"alpha": 2.0, "beta": 0.5}),
) for shape in ((7,), (5, 33), (3, 4, 5), (2, 17, 3, 5))]

ELEMENTWISE = [
    Case("dropout", "images", ((2, 17, 5, 3),), {"p": 0.4, "key": 2**63 + 5}),
    Case("dropout", "rows", ((9, 33),), {"p": 0.25, "key": 7}),
    Case("dropout", "none", ((4, 5),), {"p": 0.0, "key": 1}),
    Case("dropout", "all", ((4, 5),), {"p": 1.0, "key": 1}),
    Case("dropout", "channels-of-images", ((3, 17, 5, 3),), {"p": 0.4, "key": 3, "axes": 2}),
    Case("dropout", "channels-of-sequences", ((3, 5, 19),), {"p": 0.5, "key": 2**40, "axes": 2}),
    Case("dropout", "samples", ((9, 3, 5, 3),), {"p": 0.3, "key": 8, "axes": 1}),
    Case("dropout", "samples-of-rows", ((70, 33),), {"p": 0.5, "key": 4, "axes": 1}),
    Case("dropout", "batch", ((4, 5),), {"p": 0.5, "key": 2, "axes": 0}),
    Case("dropout", "all-channels", ((2, 3, 2, 2),), {"p": 1.0, "key": 1, "axes": 2}),
    Case("add", "images", ((2, 17, 3, 5),) * 2, {}),
    Case("add", "rows", ((5, 33),) * 2, {}),
    Case("add", "one-axis", ((7,),) * 2, {}),
]


def _gradient(ops, case, arrays, results, dys):
    kept = {"x": arrays[0], "y": results[0]}[DEFINED[case.options["function"]].reads]
    return [ops.activation_backward(dys[0], kept, **case.options)]


CASES, EXACT = [*ACTIVATIONS, *ELEMENTWISE], ("dropout", "add")
GRADIENTS = {
    "activation_forward": _gradient,
    "dropout": lambda ops, case, arrays, results, dys: [ops.dropout(dys[0], **case.options)],
    "add": lambda ops, case, arrays, results, dys: [dys[0], dys[0]],
}
