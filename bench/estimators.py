"""NetClassifier beside scikit-learn's MLPClassifier: the same nets, optimiser, batches and stopping rule, in turns.

    python bench/estimators.py [rounds]

Accuracy is that of rows which nobody trained on; seconds are those of fit, the median of the rounds, in which both take
turns. Compilation is apart.
"""
import sys
import warnings
from statistics import median
from time import perf_counter, process_time

import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from fastnet.estimators import NetClassifier


def digits():
    """8 x 8 pixels of 1,797 digits, until the loss no longer falls."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y, {"hidden_layer_sizes": (100,)}


def generated():
    """784 columns of 60,000 generated rows and 10 classes, five epochs."""
    x, y = make_classification(70_000, 784, n_informative=40, n_redundant=100, n_classes=10, class_sep=2.0,
                               random_state=0)
    return (x / x.std()).astype(np.float32), y, {"hidden_layer_sizes": (256,), "max_iter": 5}


def timed(estimator, x, y):
    """(seconds, seconds of all processors) of a fit."""
    wall, cpu = perf_counter(), process_time()
    estimator.fit(x, y)
    return perf_counter() - wall, process_time() - cpu


def compare(problem, rounds):
    """Print a row for each of the two, and what their times are to each other."""
    x, y, options = problem()
    x, x_test, y, y_test = train_test_split(x, y, test_size=1 / 7, random_state=0, stratify=y)
    print(f"\n{problem.__doc__} {len(x):,} rows to train on")
    kinds = NetClassifier, MLPClassifier
    NetClassifier(**{**options, "max_iter": 3}, random_state=0).fit(x[:1000], y[:1000])
    NetClassifier(**{**options, "max_iter": 1}, random_state=0).fit(x, y)
    times, last = {kind: [] for kind in kinds}, {}
    for seed in range(rounds):
        for kind in kinds:
            last[kind] = kind(**options, random_state=seed)
            times[kind].append(timed(last[kind], x, y))
    for kind in kinds:
        wall, cpu = (median(column) for column in zip(*times[kind], strict=True))
        steps = last[kind].n_iter_ * -(-len(x) // 200)
        print(f"{kind.__name__:14} accuracy {last[kind].score(x_test, y_test):.4f}  {last[kind].n_iter_:3} epochs  "
              f"{wall:7.3f} s  {cpu:7.3f} s of processors  {wall / steps * 1e6:6.0f} us a step")
    ratios = [mlp[0] / net[0] for net, mlp in zip(*(times[kind] for kind in kinds), strict=True)]
    print(f"NetClassifier is {median(ratios):.2f} times as fast")


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    for one in (digits, generated):
        compare(one, int(sys.argv[1]) if len(sys.argv) > 1 else 3)
