"""Search: what is tried, in which order it comes back, and that nothing depends on how many trials run at once."""
import re
import subprocess
import sys
from math import isnan, log

import numpy as np
import pytest

import fastnet
from fastnet import search
from fastnet.training import History, NonFiniteError

joblib = pytest.importorskip("joblib")
stats = pytest.importorskip("scipy.stats")
SPACE = {"lr": search.log_uniform(1e-4, 1.0), "decay": search.uniform(-1, 3), "width": [4, 8]}
ROUNDS = 2000


def hill(lr, decay, width):
    """Highest, 0, at lr = 0.01, decay = 1."""
    return -(log(lr / 0.01) / log(10)) ** 2 - (decay - 1) ** 2 + 0 * width


def weights(lr, seed):
    """What a trial draws of the library, and its seed."""
    return {"score": lr, "first": float(fastnet.Linear(3, 2).weight.value[0, 0]), "got": seed}


def diverges(lr):
    if lr > 0.5:
        raise NonFiniteError("the loss is nan")
    return History([{"epoch": 1, "loss": 9.0, "val_loss": 1.0}, {"epoch": 2, "loss": 2.0, "val_loss": lr}])


def without_time(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_distributions():
    rng = np.random.default_rng(0)
    flat, logs = search.uniform(-1, 3).rvs(ROUNDS, rng), np.log(search.log_uniform(1e-4, 1.0).rvs(ROUNDS, rng))
    assert stats.kstest(flat, stats.uniform(-1, 4).cdf).pvalue > 0.01
    assert stats.kstest(logs, stats.uniform(log(1e-4), -log(1e-4)).cdf).pvalue > 0.01
    drawn = search.choice(list("abc")).rvs(ROUNDS, 0)
    assert all(abs(drawn.count(one) / ROUNDS - 1 / 3) < 0.04 for one in "abc")
    assert search.uniform(0, 1).rvs(random_state=np.random.RandomState(3)) == np.random.RandomState(3).uniform(0, 1)
    assert [repr(one) for one in (search.uniform(0, 1), search.log_uniform(0.1, 1), search.choice([1, 2]))] == [
        "search.uniform(0, 1)", "search.log_uniform(0.1, 1)", "search.choice([1, 2])"]


def test_random_search_gives_rows_best_first():
    rows = search.random_search(hill, SPACE, 30, seed=1)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert sorted(row["trial"] for row in rows) == list(range(30))
    assert all(row["score"] == hill(row["lr"], row["decay"], row["width"]) for row in rows)
    assert rows[0]["score"] > -0.7 and list(rows[0]) == ["trial", "lr", "decay", "width", "score", "seconds"]
    assert without_time(search.random_search(hill, SPACE, 40, seed=1)) != without_time(rows)
    first = [row for row in search.random_search(hill, SPACE, 40, seed=1) if row["trial"] < 30]
    assert without_time(first) == without_time(rows)    # more trials change nothing of the first
    assert search.random_search(hill, SPACE, 5, seed=2)[0]["lr"] != search.random_search(hill, SPACE, 5)[0]["lr"]
    lowest = search.random_search(hill, SPACE, 30, seed=1, lower=True)
    assert without_time(lowest) == without_time(rows)[::-1]


def test_grid_search_tries_all():
    rows = search.grid_search(hill, {"lr": [0.001, 0.01, 0.1], "decay": [0, 1], "width": search.choice([4])})
    assert {(row["lr"], row["decay"]) for row in rows} == {(lr, d) for lr in (0.001, 0.01, 0.1) for d in (0, 1)}
    assert (rows[0]["lr"], rows[0]["decay"], rows[0]["score"]) == (0.01, 1, 0)


def test_coarse_to_fine_narrows():
    rows = search.coarse_to_fine(hill, SPACE, (20, 20, 20), seed=0)
    stages = [[row for row in rows if row["stage"] == stage] for stage in (1, 2, 3)]
    spread = [np.ptp([log(row["lr"]) for row in stage]) for stage in stages]
    assert [len(stage) for stage in stages] == [20, 20, 20] and spread[0] > 1.5 * spread[1] > spread[2]
    assert rows[0]["stage"] > 1 and rows[0]["score"] > -0.05
    assert min(row["lr"] for row in rows) >= 1e-4 and {row["width"] for row in rows} <= {4, 8}


def test_each_trial_has_a_seed_of_its_own():
    rows = search.random_search(weights, {"lr": search.uniform(0, 1)}, 6, seed=3)
    assert len({row["first"] for row in rows}) == len({row["got"] for row in rows}) == 6
    again = search.random_search(weights, {"lr": search.uniform(0, 1)}, 6, seed=3)
    assert without_time(again) == without_time(rows)


def test_dask_does_the_work():
    """The same trials, by the scheduler and two workers of a cluster within this process."""
    distributed = pytest.importorskip("distributed")
    rows = search.random_search(weights, {"lr": search.uniform(0, 1)}, 4)
    with distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None):
        with joblib.parallel_config(backend="dask", wait_for_workers_timeout=60):
            assert without_time(search.random_search(weights, {"lr": search.uniform(0, 1)}, 4, n_jobs=-1)) == (
                without_time(rows))


def test_training_that_goes_astray_comes_last():
    rows = search.grid_search(diverges, {"lr": [0.9, 0.3, 0.1]})
    assert [row["lr"] for row in rows] == [0.1, 0.3, 0.9] and isnan(rows[-1]["val_loss"])
    assert rows[-1]["error"] == "the loss is nan" and rows[0]["loss"] == 2.0
    assert [row["lr"] for row in search.grid_search(diverges, {"lr": [0.3, 0.1]}, by="loss")] == [0.3, 0.1]
    named = search.grid_search(lambda lr: {"lr": 7.0, "score": 1}, {"lr": [0.5]})
    assert named[0]["lr"] == 0.5    # as a history's last rate, say
    with pytest.raises(ZeroDivisionError):
        search.grid_search(lambda a: 1 / a, {"a": [0]})


def test_rows_print_as_a_table(capfd):
    rows = search.grid_search(diverges, {"lr": [0.9, 0.25]}, verbose=True)
    header, rule, best, worst = repr(rows).splitlines()
    assert set(rule) == {"-", " "} and len(rule) == len(worst)
    assert header.split() == ["trial", "lr", "epoch", "loss", "val_loss", "seconds", "error"]
    assert best.split()[:5] == ["1", "0.25", "2", "2", "0.25"] and worst.endswith("the loss is nan")
    assert len({header.index("lr") + 2, best.index("0.25") + 4, worst.index("0.9") + 3}) == 1
    assert "grid_search" in capfd.readouterr().err


def test_scipys_distributions_and_scikit_learns_search_fit():
    rows = search.random_search(lambda lr: lr, {"lr": stats.loguniform(1e-3, 1)}, 4)
    assert all(1e-3 <= row["lr"] <= 1 and type(row["lr"]) is float for row in rows)
    model_selection = pytest.importorskip("sklearn.model_selection")
    drawn = list(model_selection.ParameterSampler({"lr": SPACE["lr"], "width": search.choice([1, 2])}, 5,
                                                  random_state=0))
    assert all(1e-4 <= one["lr"] <= 1 and one["width"] in (1, 2) for one in drawn)


@pytest.mark.parametrize(("change", "message"), [
    ({"train": 3}, "random_search: train must be a function of the settings, got 3"),
    ({"space": {}}, "random_search: space must hold one setting at least"),
    ({"space": {"lr": 0.1}},
     r"random_search: space\['lr'\] must be a distribution, such as uniform\(0, 1\), or a list, got 0.1"),
    ({"space": {"lr": []}}, "choice: options must hold one value at least"),
    ({"space": {"trial": [1]}, "train": lambda trial: trial},
     "space must hold one setting at least, and none of the name trial"),
    ({"n_iter": 0}, "random_search: n_iter must be an integer of at least 1 and at most 16777216, got 0"),
    ({"n_jobs": 0}, "random_search: n_jobs must be an integer other than 0"),
    ({"by": "accuracy"}, "random_search: by must be a column of numbers that train returns, got 'accuracy'"),
    ({"train": lambda rate: rate},
     "random_search: train must be a function of the settings lr, got .*takes [(]rate[)]"),
    ({"train": lambda lr: "x"}, "train must return a number, a dictionary of numbers or a History, got 'x'"),
])
def test_what_does_not_fit_is_refused(change, message):
    given = {"train": lambda lr: lr, "space": {"lr": search.uniform(0, 1)}, "n_iter": 2} | change
    with pytest.raises((TypeError, ValueError), match=message):
        search.random_search(**given)


def test_more_that_does_not_fit():
    with pytest.raises(ValueError, match="log_uniform: low must be a finite number above 0, got 0"):
        search.log_uniform(0, 1)
    with pytest.raises(ValueError, match="uniform: low must be below high, got 2 and 1"):
        search.uniform(2, 1)
    narrowed = r"coarse_to_fine: space\['lr'\] must be a uniform, log_uniform, choice or list"
    with pytest.raises(TypeError, match=narrowed):
        search.coarse_to_fine(lambda lr: lr, {"lr": stats.uniform(0, 1)})
    with pytest.raises(ValueError, match="grid_search: grid must hold one value of each at least"):
        search.grid_search(hill, {"lr": []})


def test_without_joblib_the_extra_is_named():
    code = ("import sys; sys.modules['joblib'] = None\n"
            "from fastnet import search\n"
            "search.grid_search(len, {'obj': [[1]]})")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(r'ImportError: grid_search needs joblib.*pip install "fastnet-numba\[sklearn\]"', run.stderr)
