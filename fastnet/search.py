"""Search for good settings of anything that trains: at random, over a grid, from coarse to fine.

What trains is a function of the settings, ``train(lr, decay)``, that returns a number, a dictionary of numbers such as
the last row of a history, or a `History`. What comes back is a table of rows, dictionaries, best first::

    from fastnet import search

    def train(lr, decay):
        net = fastnet.models.lenet5(10)
        optimizer = fastnet.SGD(net.parameters(), lr, momentum=0.9, weight_decay=decay)
        return fastnet.Trainer(net, fastnet.CrossEntropyLoss(), optimizer).fit(batches, 3, validation)

    space = {"lr": search.log_uniform(1e-4, 1), "decay": search.log_uniform(1e-6, 1e-2)}
    rows = search.random_search(train, space, n_iter=20, by="val_accuracy", n_jobs=2)
    print(rows)
    best = rows[0]

Trials run in parallel by joblib (``pip install "fastnet-numba[sklearn]"``): on this machine by its processes, or within
``joblib.parallel_config(backend="threading")`` its threads. Each trial has a seed of its own, by its number, so results
do not depend on n_jobs. On a cluster joblib's other backends do the work, Dask's for instance::

    import joblib
    from dask.distributed import Client

    client = Client("tcp://scheduler:8786")
    with joblib.parallel_config(backend="dask", wait_for_workers_timeout=60):
        rows = search.random_search(train, space, n_iter=200, n_jobs=-1)

and Ray's in the same way after ``ray.util.joblib.register_ray()``, with backend="ray".
"""
import inspect
from collections.abc import Mapping
from itertools import product
from math import isfinite, log, nan
from numbers import Real
from time import perf_counter

import numpy as np
from tqdm import tqdm

from fastnet import arguments, init
from fastnet.columns import table
from fastnet.training import History, NonFiniteError

__all__ = ["Trials", "choice", "coarse_to_fine", "grid_search", "log_uniform", "random_search", "uniform"]

_MOST = 2**24    # trials
_OWN = ("trial", "stage", "seconds", "error")


class Distribution:
    """What a setting is drawn from: ``rvs(random_state=rng)``, as scikit-learn's RandomizedSearchCV asks for it too."""

    def rvs(self, size=None, random_state=None):
        """A number, or `size` of them; `random_state` is a generator of NumPy, old or new, a seed or None."""
        if size is not None:
            size = arguments.integer(size, "rvs: size", 0, _MOST)
        if not isinstance(random_state, (np.random.Generator, np.random.RandomState)):
            seed = random_state if random_state is None else arguments.integer(
                random_state, "rvs: random_state, where it is no generator,", 0)
            random_state = np.random.default_rng(seed)
        return self.draw(random_state, size)


class uniform(Distribution):
    """Uniform between `low` and `high`.

    >>> 0 <= uniform(0, 1).draw(np.random.default_rng(0)) < 1
    True
    """

    def __init__(self, low, high):
        self.low, self.high = _bounds(low, high, "uniform")

    def draw(self, rng, size=None):
        """Drawn with a generator."""
        return rng.uniform(self.low, self.high, size)

    def around(self, values):
        """The same, narrowed to where these values lie, and a tenth of the range more."""
        more = (self.high - self.low) / 10
        return uniform(max(self.low, min(values) - more), min(self.high, max(values) + more))

    def __repr__(self):
        return f"search.uniform({self.low:.4g}, {self.high:.4g})"


class log_uniform(Distribution):
    """Between `low` and `high`, both above 0, each power of ten being as likely as any other: for learning rates and
    strengths of penalties.

    >>> bool(1e-4 <= log_uniform(1e-4, 1e-1).draw(np.random.default_rng(0)) <= 1e-1)
    True
    """

    def __init__(self, low, high):
        self.low, self.high = _bounds(low, high, "log_uniform", above=0)

    def draw(self, rng, size=None):
        """Drawn with a generator."""
        return np.clip(np.exp(rng.uniform(log(self.low), log(self.high), size)), self.low, self.high)

    def around(self, values):
        """The same, narrowed to where these values lie, and a tenth of the range of logarithms more."""
        factor = (self.high / self.low) ** 0.1
        return log_uniform(max(self.low, min(values) / factor), min(self.high, max(values) * factor))

    def __repr__(self):
        return f"search.log_uniform({self.low:.4g}, {self.high:.4g})"


class choice(Distribution):
    """One of these `options`, a list of anything, each as likely as any other.

    >>> choice(["SGD", "Adam"]).draw(np.random.default_rng(0)) in ("SGD", "Adam")
    True
    """

    def __init__(self, options):
        self.options = arguments.listed(options, "choice: options", "values to choose from")
        if not self.options:
            raise ValueError("choice: options must hold one value at least, got none")

    def draw(self, rng, size=None):
        """Drawn with a generator."""
        places = (rng.integers if hasattr(rng, "integers") else rng.randint)(0, len(self.options), size)
        return self.options[places] if size is None else [self.options[i] for i in places]

    def around(self, values):
        """Of the same those that occur among these values."""
        return choice([option for option in self.options if any(option is one or option == one for one in values)])

    def __repr__(self):
        return f"search.choice({arguments.shown(self.options)})"


class Trials(list):
    """The rows of a search, dictionaries, best first; prints itself as a table. NaN, where training went astray, comes
    last.

    >>> rows = grid_search(lambda lr: {"loss": lr}, {"lr": [0.1, 1.0]})
    >>> [row["lr"] for row in rows]
    [0.1, 1.0]
    """

    def __init__(self, rows=()):
        super().__init__(arguments.instance(row, dict, "Trials: rows", "dictionaries, one for each trial")
                         for row in arguments.listed(rows, "Trials: rows", "dictionaries, one for each trial"))

    def __repr__(self):
        names = list(dict.fromkeys(name for row in self for name in row))
        rows = [[_shown(row.get(name)) for name in names] for row in self]
        return table(names, rows, words=0) if names else "Trials()"


def random_search(train, space, n_iter=20, *, by=None, lower=None, seed=0, n_jobs=None, verbose=False):
    """Try `n_iter` settings drawn at random; the `Trials`, best first.

    train : a function of the settings, by name; where it has an argument `seed`, it gets that of the trial. Whatever it
        draws from `fastnet.init` follows from that seed too. Where it raises `NonFiniteError` the row has NaN, and the
        error's text as "error"; all other errors are raised.
    space : {name: distribution}: `uniform`, `log_uniform`, `choice`, a list, or one of scipy.stats
    by, lower : which column of what train returns is to be best, "score" where it returns a number and by default its
        "val_loss" or "loss" otherwise, and whether less is better; by default that is so where the name ends with loss
        or error
    n_jobs : so many trials at once, -1 for all processors, None for what joblib is set to.  verbose : a progress bar

    A row has the settings, what train returned under other names, and "trial" and "seconds". Results depend on `seed`
    alone.
    Bergstra and Bengio, Random Search for Hyper-Parameter Optimization (2012): it finds good values of the settings
    that matter in fewer trials than a grid. TypeError or ValueError for what does not fit.

    >>> rows = random_search(lambda lr: {"loss": (lr - 0.1) ** 2}, {"lr": uniform(0, 1)}, 5)
    >>> len(rows), rows[0]["loss"] <= rows[-1]["loss"]
    (5, True)
    """
    search = _Search("random_search", train, by, lower, seed, n_jobs, verbose)
    return search.best(search.draw(_space(space, "random_search"), n_iter))


def grid_search(train, grid, *, by=None, lower=None, seed=0, n_jobs=None, verbose=False):
    """Try all combinations of a grid, {name: list of values}; the `Trials`, best first. The other arguments are those
    of `random_search`.

    >>> grid_search(lambda lr: {"loss": (lr - 0.1) ** 2}, {"lr": [0.1, 1.0]})[0]["lr"]
    0.1
    """
    search = _Search("grid_search", train, by, lower, seed, n_jobs, verbose)
    grid = _settings(grid, "grid_search", "grid", "a dictionary of lists, {name: values}")
    lists = [arguments.listed(getattr(values, "options", values), f"grid_search: {name}", "values to try")
             for name, values in grid.items()]
    if not all(lists):
        raise ValueError(f"grid_search: grid must hold one value of each at least, got {arguments.shown(grid)}")
    return search.best(search.run([dict(zip(grid, values, strict=True)) for values in product(*lists)], {}))


def coarse_to_fine(train, space, n_iter=(20, 10), keep=0.25, *, by=None, lower=None, seed=0, n_jobs=None,
                   verbose=False):
    """Random search in several stages, `n_iter` trials each: each but the first draws from where the best of all so
    far lie, the share `keep` of them; the `Trials` of all stages, best first, with their "stage". The other arguments
    are those of `random_search`. Where the best lie at the border of `space`, that is worth widening.

    >>> rows = coarse_to_fine(lambda lr: {"loss": (lr - 0.1) ** 2}, {"lr": uniform(0, 1)}, (8, 4))
    >>> len(rows)
    12
    """
    search = _Search("coarse_to_fine", train, by, lower, seed, n_jobs, verbose)
    space = _space(space, "coarse_to_fine")
    keep = arguments.number(keep, "coarse_to_fine: keep", above=0, most=1)
    for name, one in space.items():
        if not hasattr(one, "around"):
            raise TypeError(f"coarse_to_fine: space[{name!r}] must be a uniform, log_uniform, choice or list, which "
                            f"can be narrowed, got {arguments.shown(one)}")
    for stage, count in enumerate(arguments.integers(n_iter, "coarse_to_fine: n_iter", least=1), 1):
        search.draw(space, count, {"stage": stage})
        best = [row for row in search.best() if isfinite(row[search.by])]
        best = best[:max(2, round(keep * len(search.rows)))]
        if best:
            space = {name: one.around([row[name] for row in best]) for name, one in space.items()}
    return search.best()


class _Search:
    """A search under way: its trials so far, and how the next are run."""

    def __init__(self, who, train, by, lower, seed, n_jobs, verbose):
        self.who, self.rows, self.by, self.lower = who, [], by, lower
        self.train = arguments.function(train, f"{who}: train", "a function of the settings")
        if by is not None:
            arguments.text(by, f"{who}: by")
        if lower is not None:
            arguments.flag(lower, f"{who}: lower")
        self.seed = arguments.integer(seed, f"{who}: seed", 0)
        if n_jobs is not None and arguments.integer(n_jobs, f"{who}: n_jobs", -2**15, 2**15) == 0:
            raise ValueError(f"{who}: n_jobs must be an integer other than 0, or None, got 0")
        self.n_jobs, self.verbose = n_jobs, arguments.flag(verbose, f"{who}: verbose")

    def draw(self, space, count, more=None):
        """Run so many trials drawn at random."""
        count = arguments.integer(count, f"{self.who}: n_iter", 1, _MOST)
        settings = []
        for trial in range(len(self.rows), len(self.rows) + count):
            rng = np.random.RandomState(np.random.default_rng([self.seed, trial, 1]).integers(2**32))
            settings.append({name: _plain(one.rvs(random_state=rng)) for name, one in space.items()})
        return self.run(settings, more or {})

    def run(self, settings, more):
        """Run trials of these settings."""
        try:
            from joblib import Parallel, delayed
        except ImportError as error:
            raise ImportError(f'{self.who} needs joblib, which is not installed: pip install "fastnet-numba[sklearn]"'
                              ) from error
        self.check_train(settings[0])
        start = len(self.rows)
        seeds = [int(np.random.default_rng([self.seed, start + i, 2]).integers(2**31)) for i in range(len(settings))]
        work = (delayed(_trial)(self.train, one, trial_seed)
                for one, trial_seed in zip(settings, seeds, strict=True))
        if self.verbose:
            work = Parallel(self.n_jobs, return_as="generator")(work)
            found = list(tqdm(work, desc=self.who, total=len(settings)))
        else:
            found = Parallel(self.n_jobs)(work)
        for i, (one, (returned, seconds)) in enumerate(zip(settings, found, strict=True), start):
            told = {name: value for name, value in returned.items() if name not in one}
            self.rows.append({"trial": i, **more, **one, **told, "seconds": seconds})
        return self.rows

    def check_train(self, settings):
        """TypeError where `train` does not take these settings by their names."""
        try:
            signature = inspect.signature(self.train)
        except (TypeError, ValueError):     # a function of C, which does not tell
            return
        try:
            signature.bind(**({"seed": 0} if "seed" in signature.parameters else {}) | settings)
        except TypeError as error:
            raise TypeError(f"{self.who}: train must be a function of the settings {', '.join(settings)}, got "
                            f"{arguments.shown(self.train)}, which takes {signature}") from error

    def best(self, rows=None):
        """The rows, best first."""
        rows = self.rows if rows is None else rows
        told = [row for row in rows if "error" not in row]
        if self.by is None:
            columns = told[0] if told else {}
            self.by = next((name for name in ("score", "val_loss", "loss") if name in columns), "score")
        for row in rows:
            if "error" in row:
                row.setdefault(self.by, nan)
            elif not isinstance(row.get(self.by), Real):
                raise ValueError(f"{self.who}: by must be a column of numbers that train returns, got {self.by!r}; "
                                 f"there are {', '.join(row)}")
        lower = self.by.endswith(("loss", "error")) if self.lower is None else self.lower
        sign = 1 if lower else -1
        return Trials(sorted(rows, key=lambda row: (row[self.by] != row[self.by], sign * row[self.by], row["trial"])))


def _trial(train, settings, seed):
    """(what train returned as a dictionary, seconds)."""
    more = {}
    if "seed" not in settings:
        try:
            more = {"seed": seed} if "seed" in inspect.signature(train).parameters else {}
        except (TypeError, ValueError):     # a function of C, which does not tell
            more = {}
    started = perf_counter()
    with init.seeded(seed):
        try:
            returned = train(**settings, **more)
        except NonFiniteError as error:
            returned = {"error": str(error)}
    if isinstance(returned, History):
        returned = returned[-1]
    if isinstance(returned, Real) and not isinstance(returned, bool):
        returned = {"score": float(returned)}
    if not isinstance(returned, Mapping):
        raise TypeError("train must return a number, a dictionary of numbers or a History, got "
                        f"{arguments.shown(returned)}")
    return {name: value for name, value in returned.items() if name != "seconds"}, perf_counter() - started


def _settings(given, who, name, what):
    """`given`, a dictionary with one setting at least, none of which has the name of a column of its own."""
    found = arguments.mapping(given, f"{who}: {name}", what)
    if not found or not found.keys().isdisjoint(_OWN):
        raise ValueError(f"{who}: {name} must hold one setting at least, and none of the name {', '.join(_OWN)}, got "
                         f"{arguments.shown(given)}")
    return found


def _space(space, who):
    found = _settings(space, who, "space", "a dictionary of distributions, {name: distribution}")
    for name, one in found.items():
        if isinstance(one, (list, tuple)):
            found[name] = choice(one)
        else:
            arguments.having(one, ("rvs",), f"{who}: space[{name!r}]",
                             "a distribution, such as uniform(0, 1), or a list")
    return found


def _bounds(low, high, who, above=None):
    low, high = arguments.number(low, f"{who}: low", above=above), arguments.number(high, f"{who}: high", above=above)
    if low >= high:
        raise ValueError(f"{who}: low must be below high, got {low:g} and {high:g}")
    return low, high


def _plain(value):
    """A number of NumPy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _shown(value):
    """A cell of a table."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else arguments.shown(value)
