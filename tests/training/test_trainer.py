"""The loop: what it computes, whom it calls, how it ends."""
import os
import signal
import threading

import numpy as np
import pytest

import fastnet
from fastnet.training import Callback, Trainer, evaluate, predict
from fastnet.training.callbacks import HOOKS

from . import small


@pytest.fixture(autouse=True)
def listening():
    """Ctrl-C raises KeyboardInterrupt, also where a shell started the tests in the background, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Recorder(Callback):
    """Notes every call with what the trainer shows then."""

    def __init__(self, log, name=""):
        for hook in HOOKS:
            setattr(self, hook, lambda trainer, hook=hook: log.append(
                (name + hook, trainer.epoch, trainer.step, trainer.batch_size, trainer.totals.images)))


def test_hooks_come_in_order_with_the_state_they_promise():
    log = []
    small.trainer(small.net(), [Recorder(log)]).fit(small.batches(20, 8), epochs=2)
    expected = [("on_train_begin", 0, 0, None, 0)]
    for epoch in (1, 2):
        step = 3 * (epoch - 1)
        expected.append(("on_epoch_begin", epoch, step, 4 if epoch == 2 else None, 0))
        for i, (size, images) in enumerate([(8, 0), (8, 8), (4, 16)]):
            expected.append(("on_step_begin", epoch, step + i, size, images))
            expected.append(("on_gradients", epoch, step + i, size, images))
            expected.append(("on_step_end", epoch, step + i + 1, size, images + size))
        expected.append(("on_epoch_end", epoch, step + 3, 4, 20))
    assert log == [*expected, ("on_train_end", 2, 6, 4, 20)]


def test_callbacks_are_called_in_the_order_given():
    log = []
    small.trainer(small.net(), [Recorder(log, "a "), Recorder(log, "b ")]).fit(small.batches(4), epochs=1)
    assert [row[0] for row in log] == [f"{who} {hook}" for hook in HOOKS if hook != "on_interrupt" for who in "ab"]


def test_one_that_comes_last_comes_last():
    log = []
    first, second = Recorder(log, "a "), Recorder(log, "b ")
    first.comes_last = True
    small.trainer(small.net(), [first, second]).fit(small.batches(4), epochs=1)
    assert [row[0][0] for row in log] == ["b", "a"] * 7


def test_a_step_is_forward_loss_backward_update():
    """The trainer against the four lines written out."""
    by_hand, trained = small.net(), small.net()
    loss = fastnet.CrossEntropyLoss()
    optimizer = fastnet.SGD(by_hand.parameters(), 0.05, momentum=0.9)
    values = []
    for x, labels in small.batches():
        logits = by_hand.forward(x, training=True)
        value, dlogits = loss(logits, labels)
        by_hand.backward(dlogits, need_dx=False)
        optimizer.step()
        values.append(value)
    seen = []
    watch = small.At("on_step_end", 0, None)
    watch.on_step_end = lambda trainer: seen.append(trainer.loss)
    history = small.trainer(trained, [watch]).fit(small.batches(), epochs=1)
    assert seen == values
    assert history["loss"] == [pytest.approx((8 * values[0] + 8 * values[1] + 4 * values[2]) / 20, rel=1e-12)]
    assert_same(trained.state_dict(), by_hand.state_dict())


@pytest.mark.parametrize("backend", fastnet.kernels.BACKENDS)
def test_gradients_may_be_replaced_before_the_update(backend):
    """`on_gradients` comes between backward and update: the optimiser uses what is there then, in every step."""
    model, by_hand = small.net(backend=backend), small.net(backend=backend)
    optimizer = fastnet.SGD(by_hand.parameters(), 0.05, momentum=0.9, backend=backend)
    calls = []

    def fake(step):
        return [np.full(parameter.shape, 0.25 * (step + 1), np.float32) for parameter in by_hand.parameters()]

    class Replace(Callback):
        def on_step_begin(self, trainer):
            self.before = [parameter.value.copy() for parameter in trainer.net.parameters()]
            self.grads = [parameter.grad for parameter in trainer.net.parameters()]

        def on_gradients(self, trainer):
            for parameter, before, old, new in zip(trainer.net.parameters(), self.before, self.grads,
                                                   fake(trainer.step), strict=True):
                assert parameter.grad is not old and np.isfinite(parameter.grad).all()  # backward has come off
                np.testing.assert_array_equal(parameter.value, before)      # the update has not
                parameter.grad = new
            calls.append(trainer.step)

    small.trainer(model, [Replace()], backend=backend).fit(small.batches(), epochs=2)
    assert calls == list(range(6))
    for step in calls:
        for parameter, gradient in zip(by_hand.parameters(), fake(step), strict=True):
            parameter.grad = gradient
        optimizer.step()
    assert_same({name: p.value for name, p in model.named_parameters()},
                {name: p.value for name, p in by_hand.named_parameters()})


def test_a_gradient_that_a_callback_spoils_is_refused():
    def spoil(trainer):
        trainer.net[0].weight.grad[0] = np.nan

    model = small.net()
    with pytest.raises(fastnet.NonFiniteError, match="the gradient is not finite for 0.weight: running the step again"):
        small.trainer(model, [small.At("on_gradients", 1, spoil)]).fit(small.batches(), epochs=1)
    assert all(np.isfinite(parameter.value).all() for parameter in model.parameters())


def test_the_history_tells_every_column():
    model = small.net()
    validation = small.batches(12, seed=5)
    history = small.trainer(model).fit(small.batches(), epochs=2, validation=validation)
    assert len(history) == 2 and not history.interrupted
    assert history["epoch"] == [1, 2] and history["steps"] == [3, 6] and history["lr"] == [0.05, 0.05]
    assert (history.rows[-1]["val_loss"], history.rows[-1]["val_accuracy"]) == evaluate(
        model, validation, fastnet.CrossEntropyLoss())
    assert all(row["seconds"] > 0 and row["images_per_second"] == 20 / row["seconds"] for row in history.rows)
    assert repr(history).splitlines()[0] == "History(2 epochs)"
    assert repr(history).splitlines()[1].startswith("epoch   1  loss ")


def test_evaluate_and_predict_weigh_every_image_alike():
    model, batches = small.net(), small.batches()
    x, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    logits = predict(model, batches)
    np.testing.assert_allclose(logits, model(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(logits, predict(model, [x for x, _ in batches]))
    loss, accuracy = evaluate(model, batches, fastnet.CrossEntropyLoss())
    assert loss == pytest.approx(fastnet.CrossEntropyLoss()(logits, labels)[0], rel=1e-6)
    assert accuracy == np.mean(logits.argmax(axis=1) == labels)


def test_twenty_images_can_be_learned_by_heart():
    model = small.net()
    history = small.trainer(model).fit(small.batches(), epochs=40)
    assert history["loss"][0] > 1.0
    loss, accuracy = evaluate(model, small.batches(), fastnet.CrossEntropyLoss())
    assert loss < 0.05 and accuracy == 1.0


def test_the_initial_loss_is_that_of_guessing():
    model = small.net()
    fastnet.init.apply(model, lambda shape: fastnet.init.normal(shape, std=1e-4), fastnet.init.zeros)
    loss, _ = evaluate(model, small.batches(), fastnet.CrossEntropyLoss())
    assert loss == pytest.approx(np.log(4), abs=1e-3)


def test_a_regression_has_no_accuracy():
    fastnet.manual_seed(0)
    model = fastnet.Sequential(fastnet.Linear(3, 1))
    x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    batches = [(x, x @ np.array([[1.0], [-2.0], [0.5]], np.float32))]
    optimizer = fastnet.SGD(model.parameters(), lr=0.1)
    history = Trainer(model, fastnet.MSELoss(), optimizer).fit(batches, epochs=200, validation=batches)
    assert history["accuracy"][-1] is None and history["val_accuracy"][-1] is None
    assert history["val_loss"][-1] < 1e-6
    np.testing.assert_allclose(model.state_dict()["0.weight"], [[1, -2, 0.5]], atol=1e-3)


def test_the_same_seed_gives_the_same_bits():
    states = []
    for _ in range(2):
        model = small.net(seed=3)
        small.trainer(model).fit(small.batches(seed=3), epochs=3)
        states.append(model.state_dict())
    assert_same(*states)


def test_a_loader_is_told_the_epoch():
    class Loader(list):
        epochs = []

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

    loader = Loader(small.batches())
    small.trainer(small.net()).fit(loader, epochs=3, validation=small.batches(4))
    assert loader.epochs == [0, 1, 2]


def test_stop_ends_after_the_step():
    stop = small.At("on_step_end", 4, lambda trainer: setattr(trainer, "stop", True))
    history = small.trainer(small.net(), [stop]).fit(small.batches(), epochs=5, validation=small.batches(4))
    assert history["steps"] == [3, 4] and not history.interrupted
    assert history["val_loss"][-1] is not None


# Ctrl-C

def ctrl_c(trainer=None):
    os.kill(os.getpid(), signal.SIGINT)


def sigterm(trainer=None):
    os.kill(os.getpid(), signal.SIGTERM)


def keyboard_interrupt(trainer):
    raise KeyboardInterrupt


@pytest.mark.parametrize("action, hook, step, steps", [
    (ctrl_c, "on_train_begin", 0, []),
    (ctrl_c, "on_epoch_begin", 3, [3, 4]),  # the step that follows is still made
    (ctrl_c, "on_step_begin", 4, [3, 5]),
    (ctrl_c, "on_step_end", 4, [3, 4]),
    (ctrl_c, "on_epoch_end", 3, [3]),
    (ctrl_c, "on_train_end", 6, [3, 6]),
    (sigterm, "on_step_begin", 4, [3, 5]),
    (keyboard_interrupt, "on_train_begin", 0, []),
    (keyboard_interrupt, "on_epoch_begin", 3, [3]),
    (keyboard_interrupt, "on_step_begin", 4, [3, 4]),  # an exception takes its step with it
    (keyboard_interrupt, "on_step_end", 4, [3, 4]),
    (keyboard_interrupt, "on_epoch_end", 3, [3]),
])
def test_ctrl_c_ends_training_with_what_was_reached(action, hook, step, steps):
    log = []
    trainer = small.trainer(small.net(), [Recorder(log), small.At(hook, step, action)])
    history = trainer.fit(small.batches(), epochs=2, validation=small.batches(4))
    assert history is trainer.history and history.interrupted
    assert history["steps"] == steps
    assert [row[0] for row in log].count("on_epoch_end") == len(steps) and log[-1][0] == "on_train_end"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    told = [row for row in log if row[0] == "on_interrupt"]
    whole = action is not keyboard_interrupt and hook != "on_train_end"     # nothing was broken off
    assert len(told) == whole
    if whole and hook not in ("on_train_begin", "on_epoch_end"):
        assert [row[0] for row in log[-3:]] == ["on_interrupt", "on_epoch_end", "on_train_end"]


def test_ctrl_c_ends_validation_and_what_was_not_validated_is_told_so():
    class Net(fastnet.Sequential):
        def __call__(self, x):
            seen.append(len(x))
            ctrl_c()
            return super().__call__(x)

    seen, log = [], []
    model = Net(fastnet.Flatten(), fastnet.Linear(192, 4)).to("naive")
    trainer = small.trainer(model, [Recorder(log)], backend="naive")
    history = trainer.fit(small.batches(), epochs=2, validation=small.batches(20, 4))
    assert history.interrupted and seen == [4] and history["val_loss"] == [None] and history["steps"] == [3]
    assert [row[0] for row in log[-3:]] == ["on_interrupt", "on_epoch_end", "on_train_end"]


def test_ctrl_c_in_the_middle_of_an_update_lets_it_finish():
    model = small.net()
    trainer = small.trainer(model)
    trainer.optimizer = fastnet.SGD(fastnet.optim.decay_groups(model.parameters()), 0.05)
    update = trainer.optimizer.update
    trainer.optimizer.update = lambda *args: (update(*args), None if seen else ctrl_c(), seen.append(1))
    seen = []
    history = trainer.fit(small.batches(), epochs=2)
    assert history.interrupted and history["steps"] == [1] and len(seen) == 2     # both groups


def test_a_second_ctrl_c_aborts():
    log = []
    twice = small.At("on_step_end", 2, lambda trainer: (ctrl_c(), ctrl_c()))
    with pytest.raises(KeyboardInterrupt):
        small.trainer(small.net(), [Recorder(log), twice]).fit(small.batches(), epochs=2)
    assert log[-1][0] == "on_train_end"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_somebody_elses_handler_stays_in_charge():
    calls = []
    old = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        history = small.trainer(small.net(), [small.At("on_step_end", 1, ctrl_c)]).fit(small.batches(), epochs=1)
    finally:
        signal.signal(signal.SIGINT, old)
    assert calls == [signal.SIGINT] and not history.interrupted and history["steps"] == [3]


def test_training_works_in_another_thread():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(small.trainer(small.net()).fit(small.batches(), 1)))
    thread.start()
    thread.join()
    assert histories[0]["steps"] == [3]


def test_predict_averages_over_mirror_images():
    model, batches = small.net(), small.batches()
    mirrored = [x[:, :, :, ::-1].copy() for x, _ in batches]
    expected = (predict(model, batches) + predict(model, mirrored)) / 2
    np.testing.assert_array_equal(predict(model, batches, flip=True), expected)


def test_several_inputs_and_outputs_are_predicted_by_name():
    x, net = {"a": np.ones((3, 2), np.float32), "b": np.zeros((3, 2), np.float32)}, fastnet.Graph(
        {"sum": (fastnet.Add(), ["a", "b"]), "product": (fastnet.Multiply(), ["a", "b"])}, ["a", "b"],
        ["sum", "product"])
    found = predict(net, x, batch_size=2)
    assert {name: y.tolist() for name, y in found.items()} == {"sum": [[1, 1]] * 3, "product": [[0, 0]] * 3}


def test_arrays_are_taken_in_batches():
    """In another order in each epoch for training, in their own for all else."""
    x, y = (np.concatenate(parts) for parts in zip(*small.batches(20, 8), strict=True))
    ours, theirs = small.net(), small.net()
    theirs.load_state_dict(ours.state_dict())
    history = small.trainer(ours).fit((x, y), 3, validation=(x, y), batch_size=6)
    wanted = small.trainer(theirs).fit(fastnet.data.DataLoader(x, y, 6), 3, validation=[(x, y)])
    assert [row["loss"] for row in history] == [row["loss"] for row in wanted] and history[-1]["steps"] == 12
    assert history[-1]["val_loss"] == pytest.approx(wanted[-1]["val_loss"], rel=1e-6)
    for batches in (x, (x, y), [x], [(x, y)]):
        np.testing.assert_allclose(predict(ours, batches, batch_size=7), theirs(x), rtol=1e-5, atol=1e-6)
    assert evaluate(ours, (x, y), fastnet.CrossEntropyLoss())[0] == pytest.approx(history[-1]["val_loss"], rel=1e-6)


def test_several_arrays_are_taken_in_batches():
    rng = np.random.default_rng(0)
    x, y = {"one": rng.standard_normal((20, 5)), "two": rng.standard_normal((20, 4))}, rng.integers(0, 3, 20)
    net = fastnet.Graph({"a": (fastnet.Linear(5, 3), "one"), "b": (fastnet.Linear(4, 3), "two"),
                         "y": (fastnet.Add(), ["a", "b"])}, inputs=("one", "two"))
    history = small.trainer(net).fit((x, y), 2, batch_size=8)
    assert history[-1]["steps"] == 6 and predict(net, [x]).shape == (20, 3)
    assert predict(net, (x, y), batch_size=8).shape == (20, 3)


# What is refused

X, Y = small.batches(8, 8)[0]


@pytest.mark.parametrize("call, error, message", [
    (lambda t: t.fit(iter(small.batches()), 1), TypeError, "fit: train_batches .* what can be iterated only once"),
    (lambda t: t.fit(small.batches(), 1, validation=iter([])), TypeError, "fit: validation .* iterated only once"),
    (lambda t: t.fit([], 1), ValueError, "fit: train_batches must hold batches, got no batch"),
    (lambda t: t.fit(small.batches(), 1, validation=[]), ValueError, "fit: validation must hold batches, got no batch"),
    (lambda t: t.fit(small.batches(), 0), ValueError, "fit: epochs must be an integer of at least 1 and .*, got 0"),
    (lambda t: t.fit(small.batches(), 1.5), TypeError, "fit: epochs must be an integer of at least 1 and .*, got 1.5"),
    (lambda t: t.fit(small.batches(), Y), TypeError, r"fit: epochs must be an integer .* array of shape \(8,\)"),
    (lambda t: t.fit(X, 1), TypeError, r"fit: train_batches must be batches, .*: give \(x, y\), y being what the"),
    (lambda t: t.fit([X, Y], 1), TypeError, r"train_batches must be .*, got a list of 2 arrays: give \(x, y\), a tu"),
    (lambda t: t.fit((X, Y[:-1]), 1), ValueError, "x and y must hold as many samples, got "),
    (lambda t: t.fit((X, Y), 1, batch_size=0), ValueError, "fit: batch_size must be an integer of at least 1, got 0"),
    (lambda t: t.fit([X, Y, np.ones(8)], 1), TypeError, r"got a list of 3 arrays: give \(x, y, sample_weight\), a tup"),
    (lambda t: t.fit((X, Y, -np.ones(8)), 1), ValueError, "sample_weight must hold finite numbers of at least 0"),
    (lambda t: t.fit((X, Y, np.ones(7)), 1), ValueError, "sample_weight must be one number for each of 8 samples, got"),
    (lambda t: t.fit([X], 1), TypeError, "fit: train_batches must be batches, pairs .* as a batch"),
    (lambda t: t.fit([(X, Y, Y, Y)], 1), TypeError, "train_batches must be batches, .*, got a tuple of 4 as a batch"),
    (lambda t: t.fit([(X.tolist(), Y)], 1), TypeError, "fit: train_batches: the x of a batch must be a NumPy array"),
    (lambda t: t.fit([(X[:0], Y[:0])], 1), ValueError, "fit: train_batches: the x of a batch must hold one sample"),
    (lambda t: t.fit({"x": X}, 1), TypeError, "fit: train_batches must be batches"),
    (lambda t: t.fit(fastnet.data.DataLoader, 1), TypeError, "train_batches must .*, got the class DataLoader"),
    (lambda t: t.fit([(X, Y)], 1, validation=[X, Y]), TypeError, "fit: validation must .*, got a list of 2 arrays"),
    (lambda t: t.fit([(X, Y)], 1, validation=[X]), TypeError, "fit: validation must be batches"),
    (lambda t: evaluate(t.net, [], t.loss_function), ValueError, "evaluate: batches must hold batches, got no batch"),
    (lambda t: evaluate(t.net, [X, Y], t.loss_function), TypeError, "evaluate: batches must .*, got a list of 2 arra"),
    (lambda t: evaluate(t.net, [(X, Y)], fastnet.CrossEntropyLoss), TypeError, "evaluate: loss must be a loss, .*Cro"),
    (lambda t: predict(t.net, []), ValueError, "predict: batches must hold batches, got no batch"),
    (lambda t: predict(t.net, "x"), TypeError, "predict: batches must be batches, arrays x or pairs .*, got 'x'"),
    (lambda t: predict(t.net, [(X, Y, Y, Y)]), TypeError, "predict: batches must be batches, .*, got a tuple of 4"),
    (lambda t: predict(t.net, [X], flip=1), TypeError, "predict: flip must be True or False, got 1"),
    (lambda t: predict(fastnet.Flatten(), [X[0, 0]], flip=True), ValueError, "predict: flip=True needs batches of im"),
    (lambda t: predict(fastnet.Identity(), [X, X[:, :2]]), ValueError, "predict: batches must give outputs of one sha"),
    (lambda t: small.trainer(t.net, [print]), TypeError, "Trainer: callbacks must be .*, which has no on_train_begin"),
    (lambda t: small.trainer(t.net, [Callback]), TypeError, r"Trainer: callbacks must be .*of it, Callback\(...\)"),
    (lambda t: small.trainer(t.net, Callback()), TypeError, r"Trainer: callbacks must be a list of callbacks, such as"),
    (lambda t: small.trainer(t.net, [[Callback()]]), TypeError, "Trainer: callbacks must be a list of callbacks, obj"),
    (lambda t: Trainer(fastnet.Linear, t.loss_function, t.optimizer), TypeError, "Trainer: net must .* class Linear"),
    (lambda t: Trainer(t.net, fastnet.MSELoss, t.optimizer), TypeError, "Trainer: loss must .* class MSELoss: make"),
    (lambda t: Trainer(t.net, None, t.optimizer), TypeError, "Trainer: loss must be a loss, such as .*, got None"),
    (lambda t: Trainer(t.net, t.loss_function, fastnet.SGD), TypeError, "Trainer: optimizer must .* class SGD: make"),
    (lambda t: Trainer(t.net, t.loss_function, 0.1), TypeError, "Trainer: optimizer must be an optimiser, .*got 0.1"),
    (lambda t: Trainer(small.net(), t.loss_function, t.optimizer), ValueError,
     r"Trainer: optimizer must hold parameters of net, .* make it anew, SGD\(net.parameters\(\), ...\)"),
])
def test_bad_input(call, error, message):
    trainer = small.trainer(small.net())
    before = trainer.net.state_dict()
    with pytest.raises(error, match=message) as caught:
        call(trainer)
    assert len(str(caught.value)) < 400
    assert_same(trainer.net.state_dict(), before)


@pytest.mark.parametrize("labels, error, message", [
    (np.eye(4, dtype=int)[Y], ValueError, r"give targets.argmax\(axis=1\)"), (Y / 1.0, TypeError, "targets.astype"),
    (Y.astype(str), TypeError, "number the classes"), ((Y, Y), ValueError, "targets must be"),
    ((Y, Y[:3]), TypeError, "targets must be"), (np.ma.array(Y), TypeError, "masked"), (Y[:3], ValueError, "must be 8"),
    (Y + 9, ValueError, "from 0 to 3"), (None, TypeError, "targets must be"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_labels_that_do_not_fit_are_refused_before_the_update(labels, error, message):
    trainer = small.trainer(small.net())
    before = dict((name, p.value.copy()) for name, p in trainer.net.named_parameters())
    with pytest.raises(error, match=message) as caught:
        trainer.fit([(X, labels)], 1)
    assert str(caught.value).startswith("CrossEntropyLoss: targets ")
    assert_same(dict((name, p.value) for name, p in trainer.net.named_parameters()), before)


@pytest.mark.parametrize("answer, message", [
    (1.0, "loss must give .value, gradient"), (None, "loss must give"), ((1.0, 2.0, 3.0), "got a tuple of 3"),
    ((None, X), "with a number as value, got None"), ((np.ones(3), X), "with a number as value, got an array"),
])
def test_a_loss_that_does_not_answer_as_one_is_refused(answer, message):
    net = small.net()
    trainer = Trainer(net, lambda logits, labels: answer, fastnet.SGD(net.parameters(), 0.1))
    with pytest.raises(TypeError, match=f"Trainer: .*{message}"):
        trainer.fit([(X, Y)], 1)


def test_a_part_of_the_net_may_be_trained():
    model = small.net()
    optimizer = fastnet.SGD(model[0].parameters(), 0.1)
    before = model[3].weight.value.copy()
    Trainer(model, fastnet.CrossEntropyLoss(), optimizer).fit([(X, Y)], np.int64(1))
    np.testing.assert_array_equal(model[3].weight.value, before)


def test_what_is_assigned_later_is_looked_at_before_training():
    trainer = small.trainer(small.net())
    trainer.net = small.net()
    with pytest.raises(ValueError, match="Trainer: optimizer must hold parameters of net"):
        trainer.fit(small.batches(), 1)
    trainer = small.trainer(small.net())
    trainer.callbacks = Callback()
    with pytest.raises(TypeError, match="Trainer: callbacks must be a list of callbacks, such as"):
        trainer.fit(small.batches(), 1)


def test_targets_may_be_whatever_the_loss_takes():
    """Weights beside labels, a dictionary, a list: nobody else looks at them."""
    model = small.net()

    class Weighted(fastnet.CrossEntropyLoss):
        def __call__(self, logits, labels):
            return super().__call__(logits, labels["y"] if isinstance(labels, dict) else labels[0])

    trainer = Trainer(model, Weighted(), fastnet.SGD(model.parameters(), 0.1))
    history = trainer.fit([(X, (Y, Y / 1.0)), (X, {"y": Y}), (X, [Y, None])], 1)
    assert history[0]["steps"] == 3 and history[0]["accuracy"] is None


def test_nets_of_several_inputs_and_outputs():
    x = np.ones((6, 3), np.float32)
    net = fastnet.Graph({"a": (fastnet.Linear(3, 2), "left"), "b": (fastnet.Linear(3, 1), "right")},
                        inputs=("left", "right"), outputs=("a", "b"))

    def loss(logits, labels):
        return 1.0, type(logits)(logits.values()) if isinstance(logits, tuple) else logits

    batches = [({"left": x, "right": x}, None), ({"left": x[:2], "right": x[:2]}, None)]
    history = Trainer(net, loss, fastnet.SGD(net.parameters(), 0.1)).fit(batches, 1)
    assert history[0]["accuracy"] is None
    outputs = predict(net, [x for x, _ in batches])
    assert {name: output.shape for name, output in outputs.items()} == {"a": (8, 2), "b": (8, 1)}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_x_and_y_as_two_arguments_meet_the_remedy():
    net = fastnet.Linear(1, 2)
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), fastnet.SGD(net.parameters(), 0.1))
    with pytest.raises(TypeError, match=r"^fit: epochs must be .* got an array .* fit\(\(x, y\), epochs\)$"):
        trainer.fit(np.ones((4, 1), np.float32), np.zeros(4, int))
    assert trainer.epoch == 0
