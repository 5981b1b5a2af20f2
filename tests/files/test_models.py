"""Nets as files: every layer and every net comes back with the same words and the same bits."""
import json

import numpy as np
import pytest

import fastnet
from fastnet import data, init, layers, models
from fastnet.files import nets, tensors
from fastnet.program import trees

from ..layers.battery import CASES, IDS, OWN, Block, Clip, Tenfold, arrays, build
from ..layers.test_arguments import RIGHT

KEPT = [pair for pair in zip(IDS, CASES, strict=True) if "Block(" not in pair[1][0]]


def again(net, folder, own=(), **given):
    """The model that is read of what was written."""
    path = folder / "net.safetensors"
    fastnet.save_model(net, path, **given)
    return fastnet.load_model(path, own)


def assert_same(a, b, x):
    assert repr(a) == repr(b) and type(a) is type(b)
    state, other = a.state_dict(), b.state_dict()
    assert [*state] == [*other]
    for name, value in state.items():
        assert value.dtype == other[name].dtype and np.array_equal(value, other[name])
    for one, two in zip(trees.flat(a(x)), trees.flat(b(x)), strict=True):
        assert one.dtype == two.dtype and np.array_equal(one, two)
    assert [layer.frozen for _, layer in a.named_layers() if hasattr(layer, "frozen")] == [
        layer.frozen for _, layer in b.named_layers() if hasattr(layer, "frozen")]
    assert [one.requires_grad for one in a.parameters()] == [one.requires_grad for one in b.parameters()]


@pytest.mark.parametrize("text", [text for _, (text, _) in KEPT], ids=[name for name, _ in KEPT])
def test_every_layer_is_described(text):
    nets.described(build(text), "test")     # which compares what is made of it


@pytest.mark.parametrize("text, shape", [
    pytest.param(*case, id=name, marks=[pytest.mark.slow] * (i % 12 > 0)) for i, (name, case) in enumerate(KEPT)])
def test_every_layer(tmp_path, text, shape):
    init.manual_seed(3)
    net = build(text)
    for parameter in net.parameters():
        parameter.value = init.normal(parameter.shape)
    assert_same(net, again(net, tmp_path, OWN).net, arrays(shape))


@pytest.mark.parametrize("name", [name for name in RIGHT if name in nets.CLASSES])
def test_every_argument(name):
    """In the descriptions alone, with arguments that are not the defaults."""
    given = dict(RIGHT[name])
    places = [given.pop("merge")] if name == "Parallel" else []
    places += [*given.pop("branches", ()), *given.pop("layers", ())]
    net = getattr(layers, name)(*places, **given)
    other = nets.made(nets.described(net, "test"), {})
    assert repr(other) == repr(net)
    for option in net.options:
        assert getattr(other, option) == getattr(net, option)


def test_no_layer_is_missing():
    public = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert public - nets.CLASSES.keys() == {"Layer", "Container", "Activation", "Merge"}
    assert nets.CLASSES.keys() <= public


# Of each kind one.
KINDS = "char_rnn", "class_and_box", "googlenet", "resnet18", "unet"


@pytest.mark.parametrize("name", [name if name in KINDS else pytest.param(name, marks=pytest.mark.slow)
                                  for name in models.__all__])
def test_every_net_is_described(name):
    with init.skip():
        net = getattr(models, name)(7)
        assert nets.described(net, "test")["dtype"] == "float32"   # which compares what is made of it


def test_a_net(tmp_path):
    net = models.resnet20(7)
    assert_same(net, again(net, tmp_path).net, arrays((1, 3, 32, 32)))


@pytest.mark.slow
@pytest.mark.parametrize("name", models.__all__)
def test_every_net(tmp_path, name):
    net = getattr(models, name)(7)
    x = arrays((1, *getattr(getattr(models, name), "input_shape", (3, 32, 32))))
    if name == "char_rnn":      # which reads letters
        x = np.arange(x.size).reshape(x.shape) % 7
    assert_same(net, again(net, tmp_path).net, x)


def test_what_is_frozen_and_the_dtype_stay(tmp_path):
    net = fastnet.Sequential(fastnet.Linear(3, 4), fastnet.BatchNorm1d(4), fastnet.Dropout(0.2), fastnet.Linear(4, 2))
    fastnet.freeze(net, "[12]")
    net["0"].bias.requires_grad = False
    net.astype("float64")
    found = again(net, tmp_path).net
    assert_same(net, found, np.ones((2, 3)))
    assert found[1].frozen and found[2].frozen and found.dtype == np.float64


def test_a_part_of_a_net_and_changed_options(tmp_path):
    net = fastnet.Sequential({"features": fastnet.Sequential(fastnet.Conv2d(1, 2, 3), fastnet.Dropout(0.5))})
    net["features.0"].padding, net["features.1"].p = 1, 0.25
    assert_same(net["features"], again(net["features"], tmp_path).net, np.ones((1, 1, 4, 4)))


def test_nothing_is_drawn(tmp_path):
    net = models.lenet5(3)
    before = init.generator().bit_generator.state
    again(net, tmp_path)
    assert init.generator().bit_generator.state == before


def test_others_take_the_weights(tmp_path):
    net, other = models.lenet5(3), models.lenet5(3)
    fastnet.save_model(net, tmp_path / "net.safetensors", data.Normalize([1.0], [2.0]), ["a", "b", "c"])
    fastnet.load_weights(other, tmp_path / "net.safetensors")
    assert np.array_equal(other["0"].weight.value, net["0"].weight.value)
    torch = pytest.importorskip("safetensors.torch")
    found = torch.load_file(tmp_path / "net.safetensors")
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in net.state_dict().items()}


# What there is beside the net

def test_the_same_net_makes_the_same_file(tmp_path):
    """Its texts stand in the order in which they were given, in which a dozen files would not agree by chance."""
    net, path, files = fastnet.Linear(2, 2), tmp_path / "net.safetensors", set()
    classes = ("\u00e4 \"", "\n\u2028\0")
    for _ in range(12):
        fastnet.save_model(net, path, data.Normalize([1.0], [2.0]), classes, (2,))
        files.add(path.read_bytes())
    content, = files
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0      # numbers lie where they can be read as such
    assert list(json.loads(content[8:8 + length])["__metadata__"]) == [
        "fastnet.net", "fastnet.normalize", "fastnet.classes", "fastnet.input_shape"]
    assert fastnet.load_model(path).classes == classes


def test_a_prediction_needs_nothing_else(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 4, 4), np.uint8)
    normalize = data.Normalize.per_channel(images)
    net = fastnet.Sequential(fastnet.Flatten(), fastnet.Linear(48, 4))
    model = again(net, tmp_path, normalize=normalize, classes=["cat", "dog", "duck", "deer"])
    scores = net(normalize(images)).astype(np.float64)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = model.predict(images, top=2)
    assert len(found) == 300 and all(len(best) == 2 for best in found)
    for best, row in zip(found, shares, strict=True):
        order = np.argsort(-row)
        assert [name for name, _ in best] == [("cat", "dog", "duck", "deer")[k] for k in order[:2]]
        np.testing.assert_allclose([share for _, share in best], row[order[:2]], rtol=1e-12)
    assert model.classes == ("cat", "dog", "duck", "deer")
    assert repr(model).endswith(f"normalize={normalize!r}, classes=4 names, input_shape=None)")
    assert len(model.predict(images[:1], top=9)[0]) == 4 and model.predict(images[:0]) == []


@pytest.mark.parametrize("last", [fastnet.Softmax(), fastnet.LogSoftmax(), fastnet.Sequential(fastnet.Softmax())])
def test_probabilities_are_taken_as_they_are(last):
    linear, x = fastnet.Linear(3, 4), np.ones((2, 3), np.float32)
    plain = fastnet.Model(linear).predict(x)
    found = fastnet.Model(fastnet.Sequential(linear, last)).predict(x)
    assert [k for k, _ in plain[0]] == [k for k, _ in found[0]]
    np.testing.assert_allclose([p for _, p in plain[0]], [p for _, p in found[0]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 4, 4), (3,)])
def test_normalisation_comes_back_to_the_last_bit(tmp_path, shape):
    x = np.random.default_rng(1).standard_normal((20, *shape)) * 7
    normalize = data.Normalize.mean_image(x)
    found = again(fastnet.Flatten(), tmp_path, normalize=normalize).normalize
    assert np.array_equal(found.mean, normalize.mean) and np.array_equal(found.std, normalize.std)
    assert np.array_equal(found(x), normalize(x)) and repr(found) == repr(normalize)


def test_nets_that_do_not_classify():
    x = np.ones((2, 3), np.float32)
    for net in (fastnet.Linear(3, 1), fastnet.Unflatten(1, (3, 1)), fastnet.LSTM(3, 2)):
        given = x[:, None] if isinstance(net, fastnet.LSTM) else x
        with pytest.raises(ValueError, match=r"^Model.predict: net must give a score for each of two classes or more, "
                                             r"\(N, K\), got .*: net\(x\) is what it gives"):
            fastnet.Model(net).predict(given)
    with pytest.raises(ValueError, match="^Model.predict: classes must be 4 names, as many as the net gives scores, "):
        fastnet.Model(fastnet.Linear(3, 4), classes=["a", "b"]).predict(x)


# Classes of a user's own, and what cannot be kept

class Scaled(fastnet.Container):
    """Keeps what its constructor was given."""

    def __init__(self, channels, factor=2.0, act=None):
        self.channels, self.factor, self.act = channels, factor, act or fastnet.ReLU()
        self.conv = fastnet.Conv2d(channels, channels, 1)

    def compose(self, x, training):
        return self.act(self.conv(x))


def test_classes_of_ones_own(tmp_path):
    net = fastnet.Sequential(Scaled(2, 0.5, fastnet.Tanh()), Clip())
    model = again(net, tmp_path, [Clip, Scaled])
    assert_same(net, model.net, np.ones((1, 2, 3, 3)))
    assert model.net[0].factor == 0.5
    for given in ([], [Clip], [Tenfold]):
        with pytest.raises(ValueError, match=r"it holds a layer of the class '\w+', which is not of this library: give "
                                             r"load_model\(path, classes_of_mine=\[\w+\]\), or make the net and use"):
            fastnet.load_model(tmp_path / "net.safetensors", given)
    with pytest.raises(ValueError, match="^save_model: Block does not keep the argument 'channels' of its constructor.*"
                                         "assign self.channels = channels there, or use save_weights"):
        again(Block(4), tmp_path)


def test_a_class_that_is_called_like_one_of_the_library(tmp_path):
    class ReLU(fastnet.Activation):
        function, reads = "tanh", "y"

    model = again(fastnet.Sequential(ReLU(), fastnet.ReLU()), tmp_path, [ReLU])
    assert [type(layer) for layer in model.net] == [ReLU, fastnet.ReLU]


def changed(what):
    net = fastnet.Sequential(fastnet.Linear(3, 3), fastnet.Linear(3, 3))
    if what == "shared":
        net[1].weight = net[0].weight
    elif what == "pass":
        net[1].forward = lambda x, training=False: x
    elif what == "shape":
        net[1].weight = fastnet.Parameter(np.ones((4, 3)))
    elif what == "bias":
        net[1].bias = None
    return net


@pytest.mark.parametrize("what, words", [
    ("shared", "a parameter of its own at each place, but that of '0.weight' and '1.weight' is the same; use save_w"),
    ("pass", 'Linear "1" has a pass that was assigned to it'), ("shape", "net would not come back as it is")])
def test_what_would_not_come_back_is_refused(tmp_path, what, words):
    with pytest.raises(ValueError, match=f"^save_model: (net must have )?{words}"):
        fastnet.save_model(changed(what), tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_bias_that_was_taken_away_stays_away(tmp_path):
    net = changed("bias")
    assert_same(net, again(net, tmp_path).net, np.ones((1, 3)))


def test_what_is_no_model(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(FileNotFoundError, match=f"^load_model: {path}: no such file"):
        fastnet.load_model(path)
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        fastnet.load_model(tmp_path)
    fastnet.save_weights(fastnet.Linear(2, 2), path)
    with pytest.raises(ValueError, match=f"^load_model: {path}: it holds weights and no net: make the net, and use l"):
        fastnet.load_model(path)
    for suffix in (".npz", ".pt", ".PTH", ".bin", ".ckpt"):
        with pytest.raises(ValueError, match="^save_model: path must not be that of another format, .* with .safetens"):
            fastnet.save_model(fastnet.Linear(2, 2), f"net{suffix}")
    half = {"weight": np.zeros((2, 2), np.float16), "bias": np.zeros(2)}
    fastnet.save_model(fastnet.Linear(2, 2), path)
    path.write_bytes(tensors.packed(half, tensors.read(path)[1]))
    assert fastnet.load_model(path).net.dtype == np.float32


def test_a_damaged_description_is_called_so(tmp_path):
    path = tmp_path / "net.safetensors"
    fastnet.save_model(fastnet.Linear(2, 3), path)
    state, metadata = tensors.read(path)
    path.write_bytes(tensors.packed(state, {**metadata, "fastnet.net": metadata["fastnet.net"][:-1]}))
    with pytest.raises(ValueError, match=f"^load_model: {path}: damaged, its description of the net "):
        fastnet.load_model(path)
