"""What people reach for who come from other libraries is answered by a sentence, and does not pretend to exist."""
import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastnet
from fastnet import __main__ as cli
from fastnet import habits, losses, schedules


def net():
    return fastnet.Sequential(fastnet.Linear(4, 3), fastnet.ReLU()).to("naive")


def judged():
    return losses.MSELoss(backend="naive")(np.ones((2, 3)), np.zeros((2, 3)))


TABLES = {
    "LAYER": (net, "^Sequential has no "), "PARAMETER": (lambda: fastnet.Parameter(np.ones(2)), "^Parameter has no "),
    "OPTIMIZER": (lambda: fastnet.SGD(net().parameters(), 0.1), "^SGD has no "),
    "LOSS": (fastnet.CrossEntropyLoss, "^CrossEntropyLoss has no "),
    "ANSWER": (judged, "^what a loss gives, a value and a gradient, has no "),
    "SCHEDULE": (lambda: schedules.cosine(0.1, 10), "^cosine has no "),
    "PACKAGE": (lambda: fastnet, "^fastnet has no "),
}


@pytest.mark.parametrize("table", TABLES)
def test_each_habit_is_answered_by_a_sentence(table):
    make, begins = TABLES[table]
    for name, sentence in getattr(habits, table).items():
        assert not hasattr(make(), name), name
        assert name not in dir(make())
        with pytest.raises(AttributeError, match=f"{begins}{name}: ") as caught:
            getattr(make(), name)
        assert str(caught.value).endswith(sentence) and len(str(caught.value)) < 240
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = make().nothing


def test_what_sentences_name_is_there():
    """Each fastnet.name in a sentence, and what it says of a net, a loss, an optimiser."""
    found = set()
    for table in TABLES:
        for sentence in getattr(habits, table).values():
            for word in sentence.split("fastnet.")[1:]:
                path = "".join(c if c.isalnum() or c in "_." else " " for c in word).split()[0].rstrip(".")
                found.add(path)
                value = fastnet
                for part in path.split("."):
                    value = getattr(value, part)
    assert {"freeze", "watch", "save_weights", "Container", "init.apply"} <= found
    model = net()
    assert model.named_layers() and model.named_children() and model.astype("float64").dtype == np.float64
    assert model["0"] is model[0] and callable(model.load_state_dict)


def test_a_call_is_inference():
    """One x, and nothing else, in any layer."""
    for model in (net(), fastnet.ReLU(), fastnet.Add()):
        for args, options in (((), {"training": True}), ((np.ones((2, 4)),), {}), ((True,), {})):
            with pytest.raises(TypeError, match=r": calling it is inference .* net.forward\(x, training=True\) begins"):
                model(np.ones((2, 4)), *args, **options)


def test_the_whole_answer_of_a_loss_is_no_gradient():
    model = net()
    y = model.forward(np.ones((2, 4)), training=True)
    answer = losses.MSELoss(backend="naive")(y, 0 * y)
    assert answer.value == answer[0] and answer.gradient is answer[1]
    with pytest.raises(TypeError, match="give dy.gradient"):
        model.backward(answer)
    model.backward(answer.gradient)
    for other in (copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert type(other) is type(answer) and other.value == answer.value


def test_an_error_within_a_property_is_its_own():
    class Bad(fastnet.Layer):
        @property
        def width(self):
            return self.sizes[0]

    with pytest.raises(AttributeError, match="Bad has no attribute 'sizes'"):
        _ = Bad().width


def test_a_name_that_is_nearly_right_is_suggested():
    code = "import fastnet\nfastnet.Linear(2, 3).wieght\n"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Linear has no attribute 'wieght'. Did you mean: 'weight'?" in run.stderr


# PyTorch's tensors

def test_tensors_are_taken_for_arrays():
    torch = pytest.importorskip("torch")
    model, x, labels = net(), torch.ones(6, 4), torch.arange(6) % 3
    loss = losses.CrossEntropyLoss(backend="naive")
    np.testing.assert_array_equal(model(x), model(x.numpy()))
    model.backward(torch.ones_like(torch.as_tensor(model.forward(x, training=True))))
    assert loss(torch.as_tensor(model(x)), labels).value == loss(model(x), labels.numpy()).value
    trainer = fastnet.Trainer(model, loss, fastnet.SGD(model.parameters(), 0.1, backend="naive"), [])
    for batches in ((x, labels), [(x, labels)]):
        assert trainer.fit(batches, 1)["loss"][0] > 0
    assert fastnet.predict(model, x).shape == (6, 3)
    judge = torch.nn.Linear(4, 3)
    for state in (judge.state_dict(), dict(judge.named_parameters())):
        model[0].load_state_dict(state)
        np.testing.assert_array_equal(model[0].weight.value, judge.weight.detach().numpy())


def test_tensors_that_would_lose_something_are_refused():
    torch = pytest.importorskip("torch")
    model, loss = net(), losses.CrossEntropyLoss(backend="naive")
    trainer = fastnet.Trainer(model, loss, fastnet.SGD(model.parameters(), 0.1), [])
    for make, text in ((lambda *shape: torch.ones(*shape, requires_grad=True), r"requires grad.* give \w+.detach\(\)"),
                       (lambda *shape: torch.ones(*shape, device="meta"), r"on meta: give \w+.cpu\(\)"),
                       (lambda *shape: np.ma.ones(shape), r"masked array.* give \w+.filled\(value\)")):
        for run in (lambda x: model(x(2, 4)), lambda x: loss(x(2, 3), [0, 1]),
                    lambda x: fastnet.predict(model, x(2, 4)),
                    lambda x: trainer.fit((x(2, 4), np.arange(2)), 1), lambda x: fastnet.Parameter(x(2, 3)),
                    lambda x: model.forward(x(2, 4), training=True), lambda x: fastnet.activations(model, x(2, 4))):
            with pytest.raises(TypeError, match=text):
                run(make)
    for weight, text in ((np.ma.ones((3, 4)), "masked array"), (torch.ones(3, 4, device="meta"), "tensor on meta")):
        with pytest.raises(ValueError, match=f"weight is a {text}"):
            model[0].load_state_dict({"weight": weight, "bias": np.ones(3)})


# The package

def test_pictures_are_there_without_matplotlib():
    code = "import sys, fastnet\nassert fastnet.plot.confusion([0, 1], [1, 1], 2).sum() == 2\n" \
        "assert 'matplotlib' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_bare_command_tells_what_there_is(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert "warmup" in text and "info" in text and "--version" in text
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out == f"fastnet {fastnet.__version__}\n"
