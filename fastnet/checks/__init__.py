"""Checks that a practitioner makes before, during and after a training. None of them changes what it looks at."""
from fastnet.checks.activations import ActivationMonitor, ActivationReport, activation_report
from fastnet.checks.gradients import GradientCheck, gradient_check
from fastnet.checks.rates import LRRange, lr_range_test
from fastnet.checks.ratios import UpdateRatios
from fastnet.checks.saliency import grad_cam, saliency
from fastnet.checks.sanity import SanityReport, sanity_check

__all__ = ["ActivationMonitor", "ActivationReport", "GradientCheck", "LRRange", "SanityReport", "UpdateRatios",
           "activation_report", "grad_cam", "gradient_check", "lr_range_test", "saliency", "sanity_check"]
