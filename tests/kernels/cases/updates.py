"""Optimiser steps, which write in place, and what is measured of gradients."""
from .case import Case

CASES = [
    Case("sum_of_squares", "many", ((16, 3, 5, 5), (7,), (33, 5), (3, 4, 5)), {}),
    Case("sum_of_squares", "large", ((131, 127), (5, 4), (129, 257)), {}),
]

UPDATES = [Case(op, "-".join(options), shapes, options) for op, shapes, options in (
    *(("sgd_update", ((33,), (33,), None), options) for options in (
        {"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.01}, {"lr": 0.1, "weight_decay": 0.01, "scale": 0.3})),
    *(("sgd_update", ((16, 3, 3, 3),) * 3, options) for options in (
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "first": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True, "scale": 0.3})),
    *(("adam_update", ((10, 65),) * 4, options) for options in (
        {"step": 1, "lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
        {"step": 5, "lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1},
        {"step": 9, "lr": 1e-2, "beta1": 0.8, "beta2": 0.9, "eps": 1e-8, "weight_decay": 0.1, "decoupled": True},
        {"step": 2, "lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1, "scale": 0.3})),
    *(("nadam_update", ((10, 65),) * 4, {"lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "now": 0.5,
                                         "following": 0.6, "product": 0.3} | options) for options in (
        {"step": 1}, {"step": 7, "weight_decay": 0.1, "scale": 0.3},
        {"step": 3, "weight_decay": 0.1, "decoupled": True})),
    *(("rmsprop_update", ((10, 65), (10, 65), (10, 65), centered, moving), {"lr": 1e-2, "eps": 0.1} | options)
      for centered, moving, options in (
        (None, None, {"alpha": 0.99}), (None, (10, 65), {"alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1}),
        (None, None, {"alpha": 0.7, "weight_decay": 0.1, "scale": 0.3}))),
    *(("adagrad_update", ((10, 65),) * 3, {"lr": 1e-2, "eps": 1e-6} | options) for options in (
        {}, {"weight_decay": 0.1, "scale": 0.3})),
)]

EXACT = ("sum_of_squares",)
NO_GRADIENT = ("sum_of_squares",)
SQUARED = {"adam_update": (3,), "nadam_update": (3,), "rmsprop_update": (2,), "adagrad_update": (2,)}
FORWARD = {"sum_of_squares": lambda ops, case, arrays: [ops.sum_of_squares(arrays)]}
GRADIENTS = {}
