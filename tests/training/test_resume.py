"""A training that goes on somewhere else, or later, has the bits of one that never stopped."""
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import fastnet
from fastnet import data, optim, schedules
from fastnet.training import (
    Callback,
    EarlyStopping,
    JsonLines,
    LearningRateSchedule,
    ReduceLROnPlateau,
    SaveCheckpoints,
    StochasticWeightAverage,
    WeightAverage,
)

from . import small

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (22, 2, 4, 4), np.uint8), np.arange(22) % 3
EPOCHS = 4
OPTIMIZERS = {
    "SGD": lambda net: optim.SGD(net.parameters(), 0.05, momentum=0.9, nesterov=True, max_norm=1.0),
    "Adam": lambda net: optim.Adam(net.parameters(), 0.01, amsgrad=True),
    "Muon": lambda net: optim.Muon([
        {"params": [p for p in net.parameters() if p.value.ndim > 1]},
        {"params": [p for p in net.parameters() if p.value.ndim < 2], "orthogonal": False}], 0.02),
}
RATES = {
    "constant": lambda: [],
    "one_cycle": lambda: [LearningRateSchedule(schedules.one_cycle(0.1, 12))],
    "restarts": lambda: [LearningRateSchedule(schedules.warmup(schedules.cosine_restarts(0.1, 4, 2), 3))],
    "plateau": lambda: [ReduceLROnPlateau("val_loss", 0.5, 0, 0.3)],
    "with a state": lambda: [LearningRateSchedule(Falling())],
}
EXTRAS = {
    "none": lambda: [], "average": lambda: [WeightAverage(0.9, 2)], "swa": lambda: [StochasticWeightAverage(2)],
    "early stopping": lambda: [EarlyStopping(9, "val_loss")], "both": lambda: [WeightAverage(), EarlyStopping(1)],
}
TOLD_BY_A_CLOCK = {"seconds", "images_per_second", "memory"}


class Falling:
    """A rate that follows from the one before."""

    def __init__(self):
        self.rate = 0.1

    def __call__(self, step):
        self.rate *= 0.9
        return self.rate

    def state_dict(self):
        return {"rate": self.rate}

    def load_state_dict(self, state):
        self.rate = state["rate"]


class Draws(Callback):
    """Noise on the weights, from a generator whose state is kept."""

    state_names = ("generator",)

    def __init__(self):
        self._generator = np.random.default_rng(5)

    @property
    def generator(self):
        return self._generator.bit_generator.state

    @generator.setter
    def generator(self, state):
        self._generator.bit_generator.state = state

    def on_step_end(self, trainer):
        bias = trainer.net.parameters()[-1]
        bias.value = bias.value + self._generator.normal(0, 1e-3, bias.shape).astype(bias.value.dtype)


def config_of(seed):
    rng = np.random.default_rng([7, seed])
    return {"optimizer": list(OPTIMIZERS)[seed % 3], "rate": rng.choice(list(RATES)), "extra": rng.choice(list(EXTRAS)),
            "dropout": rng.random() < 0.7, "norm": rng.random() < 0.7, "augment": rng.random() < 0.7,
            "accumulate": int(rng.integers(1, 4)), "batch_size": int(rng.choice([4, 5, 6, 8])),
            "batches": rng.choice(["loader", "loader", "sampler", "list"]), "prefetch": int(rng.integers(0, 3)),
            "step": rng.random(), "noise": rng.random() < 0.3}


def made(config, seed=1, more=()):
    """A Trainer, what it is trained on, and what validates."""
    fastnet.manual_seed(seed)
    layers = [fastnet.Flatten(), fastnet.Linear(32, 8)]
    layers += [fastnet.BatchNorm1d(8)] * config["norm"] + [fastnet.ReLU()] + [fastnet.Dropout(0.3)] * config["dropout"]
    net = fastnet.Sequential(*layers, fastnet.Linear(8, 3))
    batches = data.DataLoader(
        IMAGES, LABELS, config["batch_size"], seed=seed, prefetch=config["prefetch"],
        augment=data.Augment(crop=1, flip=True, brightness=0.2) if config["augment"] else None,
        sampler=data.BalancedSampler(LABELS) if config["batches"] == "sampler" else None)
    if config["batches"] == "list":
        batches.set_epoch(0)
        batches.seed = 1
        batches = list(batches)
    callbacks = [*RATES[config["rate"]](), *EXTRAS[config["extra"]](), *[Draws()] * config["noise"], *more]
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), OPTIMIZERS[config["optimizer"]](net), callbacks,
                              metrics={"top2": fastnet.metrics.top_k(2)}, accumulate=config["accumulate"])
    return trainer, batches, [(IMAGES[:9].astype(np.float32), LABELS[:9])]


def assert_same(one, other, name=""):
    """Two states, to the last bit."""
    assert type(one) is type(other), name
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            if key not in TOLD_BY_A_CLOCK:
                assert_same(one[key], other[key], f"{name}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), name
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{name}[{i}]")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)
    else:
        assert one == other or one != one and other != other, name


def weights(trainer):
    return trainer.net.state_dict()


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(i, marks=pytest.mark.slow) for i in range(6, 36))])
def test_a_training_that_was_interrupted_goes_on(tmp_path, seed):
    """Killed softly after some step, and begun again by the same program with other seeds in its hands."""
    config = config_of(seed)
    whole, batches, validation = made(config)
    whole.fit(batches, EPOCHS, validation)
    last = int(1 + config["step"] * (whole.step - 1))
    stop = small.At("on_step_end", last, lambda trainer: trainer.interrupt())
    cut, batches, validation = made(config, more=[SaveCheckpoints(tmp_path, every_epochs=None), stop])
    assert cut.fit(batches, EPOCHS, validation).interrupted and cut.step == last
    again, batches, validation = made(config, seed=2, more=[SaveCheckpoints(tmp_path)])
    history = again.fit(batches, EPOCHS, validation, resume=tmp_path)
    assert not history.interrupted and (again.epoch, again.step) == (whole.epoch, whole.step)
    assert_same(weights(again), weights(whole), str(config))
    state, wanted = again.state_dict(), whole.state_dict()
    assert_same(state, wanted, str(config))
    assert set(map(type, history[-1].values())) == set(map(type, whole.history[-1].values()))


@pytest.mark.parametrize("seed", [1, *(pytest.param(i, marks=pytest.mark.slow) for i in range(2, 8))])
def test_every_step_is_one_to_go_on_from(seed):
    config = config_of(seed) | {"rate": "restarts", "extra": "both", "norm": True, "dropout": True, "accumulate": 2}
    states = []

    class Take(Callback):
        comes_last = True

        def on_step_end(self, trainer):
            states.append(trainer.state_dict())

        on_epoch_end = on_step_end

    whole, batches, validation = made(config, more=[Take()])
    whole.fit(batches, 2, validation)
    assert len(states) == whole.step + 2
    for state in states[::2]:
        again, batches, validation = made(config, seed=9)
        again.load_state_dict(state)
        assert_same(again.state_dict(), state)
        left = 2 - state["epoch"] + state["underway"]
        if left:
            again.fit(batches, left, validation)
            assert_same(weights(again), weights(whole))
            assert [row["step"] for row in again.history.by_step] == [row["step"] for row in whole.history.by_step]


@pytest.mark.parametrize("extra", ["none", "both", "swa", *(
    pytest.param(name, marks=pytest.mark.slow) for name in ("average", "early stopping"))])
def test_two_fits_are_one(tmp_path, extra):
    config = config_of(2) | {"extra": extra, "dropout": True, "norm": True, "rate": "plateau", "noise": False,
                             "batches": "loader"}
    one, batches, validation = made(config, more=[JsonLines(tmp_path / "one")])
    one.fit(batches, 4, validation)
    two, batches, validation = made(config, more=[JsonLines(tmp_path / "two")])
    for epochs in (1, 2, 1):
        if two.stop:
            break
        history = two.fit(batches, epochs, validation)
        assert history is two.history and two.epochs == two.epoch == len(history)
    assert history["epoch"] == one.history["epoch"] and two.step == one.step
    assert_same(weights(two), weights(one))
    assert_same(two.state_dict(), one.state_dict())
    lines = [(tmp_path / name).read_text().splitlines() for name in ("one", "two")]
    assert len(lines[0]) == len(lines[1]) == len(one.history)


def test_what_a_net_was_given_meanwhile_stays():
    """Best weights are taken out again only where nobody has touched the net since."""
    trainer, batches, validation = made(config_of(0) | {"extra": "average", "rate": "constant", "noise": False})
    trainer.fit(batches, 1, validation)
    mean = weights(trainer)
    assert_same(trainer.state_dict()["net"], trainer.callbacks[0].last)
    other = {name: value + 1 if value.dtype.kind == "f" else value for name, value in mean.items()}
    trainer.net.load_state_dict(other)
    seen = []
    watch = Callback()
    watch.on_train_begin = lambda trainer: seen.append(weights(trainer))
    trainer.callbacks.append(watch)
    trainer.fit(batches, 1, validation)
    assert_same(seen[0], other)


def test_a_new_trainer_begins_anew(tmp_path):
    early, plateau, log = EarlyStopping(1, "loss"), ReduceLROnPlateau("loss"), JsonLines(tmp_path / "log")
    for _ in range(2):
        trainer = small.trainer(small.net(), [early, plateau, log])
        history = trainer.fit(small.batches(4), 1)
        assert history["epoch"] == [1] and early.best == history["loss"][0] and early.best_epoch == 1
        assert len((tmp_path / "log").read_text().splitlines()) == 1


@pytest.mark.parametrize("action", ["error", "interrupt", "keyboard", "stop"])
def test_after_an_epoch_that_was_cut_short_comes_the_next(action):
    def act(trainer):
        if action == "error":
            raise OSError("full")
        if action == "keyboard":
            raise KeyboardInterrupt
        trainer.stop = True
        if action == "interrupt":
            trainer.interrupt()

    trainer = small.trainer(small.net(), [small.At("on_step_end", 4, act)])
    if action == "error":
        with pytest.raises(OSError, match="full"):
            trainer.fit(small.batches(), 3)
    else:
        assert trainer.fit(small.batches(), 3).interrupted is (action != "stop")
    assert trainer.epoch == 2 and trainer.step == 4
    history = trainer.fit(small.batches(), 2)
    assert trainer.epoch == trainer.epochs == 4 and not history.interrupted and not trainer.stop
    assert history["epoch"] == ([1, 3, 4] if action == "error" else [1, 2, 3, 4]) and history["steps"][-1] == 10


def test_a_step_that_was_refused_may_be_followed_by_another_fit():
    batches = small.batches()
    bad = [(np.full_like(batches[0][0], np.nan), batches[0][1])]
    trainer = small.trainer(small.net())
    trainer.fit(batches, 1)
    with pytest.raises(fastnet.NonFiniteError, match="epoch 2, step 4"):
        trainer.fit(bad, 1)
    trainer.net.load_state_dict(small.net().state_dict())   # batch norm has seen the bad pass
    assert trainer.fit(batches, 1)["epoch"] == [1, 3]


@pytest.mark.parametrize("hook, step, action, message", [
    ("on_gradients", 1, lambda trainer: trainer.state_dict(), "Trainer.state_dict: a step is running"),
    ("on_step_end", 1, lambda trainer: trainer.load_state_dict(trainer.state_dict()), "state_dict: a fit is under way"),
    ("on_step_end", 1, lambda trainer: trainer.fit(small.batches(), 1), "fit: this Trainer is in the midst of a train"),
])
def test_states_are_taken_between_steps_and_taken_over_between_fits(hook, step, action, message):
    trainer = small.trainer(small.net(), [small.At(hook, step, action)])
    with pytest.raises(RuntimeError, match=message):
        trainer.fit(small.batches(), 1)
    trainer.load_state_dict(trainer.state_dict())


# All or nothing

def spoiled(state, part):
    """A state in which one part does not fit."""
    callbacks = [dict(one) for one in state["callbacks"]]
    inside = {one["class"]: one for one in callbacks}

    def changed(name, **values):
        inside[name]["state"] = {**inside[name]["state"], **values}
        return {"callbacks": callbacks}

    return {**state, **{
        "net": lambda: {"net": {**state["net"], "1.weight": np.zeros(3, np.float32)}},
        "optimizer": lambda: {"optimizer": {**state["optimizer"], "lr": -1.0}},
        "callbacks[0]": lambda: changed("EarlyStopping", best="good"),
        "callbacks[1]": lambda: changed("WeightAverage", times=-1),
        "callbacks": lambda: {"callbacks": callbacks[:1]},
        "random": lambda: {"random": {"": state["random"][""]}},
        "random generator": lambda: {"random": {**state["random"], "4.generator": {"bit_generator": "PCG64"}}},
        "loader": lambda: {"loader": {"epoch": -1, "seed": 0}},
        "batches_done": lambda: {"batches_done": 1000},
        "epoch": lambda: {"epoch": 0.5},
        "history": lambda: {"history": {}},
        "totals": lambda: {"totals": {**state["totals"], "metrics": {}}},
        "stop": lambda: {"stop": None},
        "seconds": lambda: {"seconds": "x"},
        "history['columns']": lambda: {"history": {**state["history"], "rows": 7}},
    }[part]()}


PARTS = ["net", "optimizer", "callbacks[0]", "callbacks[1]", "callbacks", "random", "random generator", "loader",
         "batches_done", "epoch", "history", "totals", "stop", "seconds", "history['columns']"]


@pytest.mark.parametrize("part", PARTS)
def test_a_state_that_does_not_fit_changes_nothing(tmp_path, part):
    config = config_of(0) | {"norm": True, "dropout": True, "batches": "loader", "rate": "constant", "noise": False}
    more = [EarlyStopping(3, "loss"), WeightAverage()]
    config["extra"] = "none"
    trainer, batches, validation = made(config, more=[
        *more, small.At("on_step_end", 3, lambda trainer: states.append(trainer.state_dict()))])
    states = []
    trainer.fit(batches, 2, validation)
    bad = spoiled(states[0], part)
    fastnet.Checkpoints(tmp_path).save(bad, 3)
    again, batches, validation = made(config, seed=2, more=[EarlyStopping(3, "loss"), WeightAverage()])
    again.fit(batches, 1, validation)
    before, generator, order = again.state_dict(), fastnet.init.generator().bit_generator.state, batches.state_dict()
    named = {"batches_done": "loader", "random generator": "random", "history['columns']": "history"}.get(part, part)
    with pytest.raises((ValueError, TypeError)) as caught:
        again.fit(batches, 3, validation, resume=tmp_path)
    assert named in str(caught.value) and "load_state_dict" in str(caught.value) and len(str(caught.value)) < 500
    assert_same(again.state_dict(), before)
    assert fastnet.init.generator().bit_generator.state == generator and batches.state_dict() == order
    again.fit(batches, 1, validation)   # and all goes on
    assert again.epoch == 2


def test_bad_arguments(tmp_path):
    trainer = small.trainer(small.net())
    for state, message in (({}, "state must have the keys"), (3, "state must be what state_dict"),
                           ({**trainer.state_dict(), "net": {"a": object()}}, "net'.*must be None, a number")):
        with pytest.raises((TypeError, ValueError), match=f"Trainer.load_state_dict: .*{message}"):
            trainer.load_state_dict(state)
    with pytest.raises(TypeError, match="fit: resume must be a path"):
        trainer.fit(small.batches(4), 1, resume=3)
    assert trainer.fit(small.batches(4), 1, resume=tmp_path / "none yet")["epoch"] == [1]

    class Odd(Callback):
        state_names = ("thing",)
        thing = object()

    trainer.callbacks = [Odd()]
    with pytest.raises(TypeError, match="Odd: thing must be None, a number, a string"):
        trainer.state_dict()


def test_data_that_cannot_go_on_is_refused(tmp_path):
    trainer, batches, validation = made(config_of(0) | {"batches": "loader", "extra": "none", "rate": "constant"})
    trainer.fit(batches, 1, validation)
    other = made(config_of(0) | {"batches": "loader", "extra": "none", "rate": "constant"})[0]
    other.load_state_dict(trainer.state_dict())
    with pytest.raises(ValueError, match="the state is of data with an order of its own"):
        other.fit([(IMAGES.astype(np.float32), LABELS)], 1)
    assert other.fit(batches, 1, validation)["epoch"] == [1, 2]


# Processes

PROGRAM = """
import sys, time
import numpy as np
import fastnet
from fastnet.training import Callback, SaveCheckpoints

class Slow(Callback):
    def on_step_end(self, trainer):
        print(trainer.step, flush=True)
        if "slow" in sys.argv:
            time.sleep(0.05)

fastnet.manual_seed(3)
net = fastnet.Sequential(fastnet.Linear(4, 8), fastnet.ReLU(), fastnet.Dropout(0.5), fastnet.Linear(8, 3)).to("naive")
x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
loss = fastnet.CrossEntropyLoss(backend="naive")
trainer = fastnet.Trainer(net, loss, fastnet.Adam(net.parameters(), 0.01, backend="naive"),
                          [SaveCheckpoints("checkpoints", every_steps=3), Slow()])
history = trainer.fit((x, np.arange(40) % 3), 6, validation=0.25, batch_size=5, resume="checkpoints")
print("interrupted" if history.interrupted else "done", trainer.step)
if not history.interrupted:
    fastnet.save_weights(net, sys.argv[1])
"""


def start(folder, *given):
    return subprocess.Popen([sys.executable, "-W", "error", "-c", PROGRAM, *given], cwd=folder, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def wait_for(process, step):
    for line in process.stdout:
        if line.strip() == str(step):
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_process_that_is_killed_goes_on(tmp_path, monkeypatch):
    """SIGTERM after step 7, kill -9 after step 20 and something, and then to the end: as one that nobody disturbed."""
    (tmp_path / "calm").mkdir()
    monkeypatch.chdir(tmp_path / "calm")
    monkeypatch.setattr(sys, "argv", ["", "../calm.npz"])
    exec(PROGRAM, {})
    first = start(tmp_path, "cut.npz", "slow")
    wait_for(first, 7)
    first.send_signal(signal.SIGTERM)
    out, errors = first.communicate(timeout=60)
    assert first.returncode == 0 and "ending after this step" in errors, errors
    assert out.split()[-2] == "interrupted" and 7 <= int(out.split()[-1]) < 20
    second = start(tmp_path, "cut.npz", "slow")
    wait_for(second, 20)
    second.send_signal(signal.SIGKILL)
    out, errors = second.communicate(timeout=60)
    assert second.returncode == -signal.SIGKILL and not (tmp_path / "cut.npz").exists()
    third = start(tmp_path, "cut.npz")
    out, errors = third.communicate(timeout=60)
    assert third.returncode == 0 and out.split()[-2:] == ["done", "36"], errors
    assert 18 < int(out.split()[0]) <= 21
    with np.load(tmp_path / "calm.npz") as wanted, np.load(tmp_path / "cut.npz") as found:
        assert_same(dict(found), dict(wanted))
    assert len(list((tmp_path / "checkpoints").iterdir())) in (3, 4)
