"""Several opinions in place of one: of several nets, or of one net on several views."""
import numpy as np

from fastnet import arguments
from fastnet.data import Augment, DataLoader, Normalize
from fastnet.probabilities import sigmoid, softmax
from fastnet.training.evaluation import predict

# What of the outputs of each task is averaged, in float64.
_SHARES = {"classes": softmax, "yes/no": sigmoid, "numbers": np.float64}


class _Mean:
    """The mean of outputs that are added one after the other, as outputs again.

    "classes": scores (N, C, ...) as the logarithm of the mean of their softmax along axis 1; "yes/no": logits as the
    logit of the mean of their sigmoid; "numbers": as they are.
    """

    def __init__(self, task, who):
        self.task, self.who, self.count, self.sum, self.dtype = task, who, 0, 0.0, None

    def add(self, outputs):
        if not isinstance(outputs, np.ndarray) or outputs.dtype.kind != "f":
            raise TypeError(f"{self.who}: net must give one array of floats, got {arguments.shown(outputs)}")
        if self.count and outputs.shape != self.sum.shape:
            raise ValueError(f"{self.who}: nets must give outputs of one shape, got {self.sum.shape} and "
                             f"{outputs.shape}")
        if self.task == "classes" and (outputs.ndim < 2 or outputs.shape[1] < 2):
            raise ValueError(f"{self.who}: outputs must be scores of classes, of shape (N, C, ...), got "
                             f"{outputs.shape}: say task='yes/no' for logits, or task='numbers'")
        self.dtype = outputs.dtype
        self.sum = self.sum + _SHARES[self.task](outputs)
        self.count += 1

    def probabilities(self):
        """The mean as it is taken."""
        return (self.sum / self.count).astype(self.dtype)

    def outputs(self):
        """The mean as outputs of a net."""
        mean = self.sum / self.count
        if self.task != "numbers":
            mean = np.clip(mean, np.finfo(self.dtype).tiny, None)
            mean = np.log(mean) if self.task == "classes" else np.log(mean) - np.log1p(
                -np.minimum(mean, 1 - np.finfo(self.dtype).epsneg))
        return mean.astype(self.dtype)


class Ensemble:
    """Several nets as one: it takes the place of a net in `predict` and `evaluate`, and is called like one.

    Their probabilities are averaged. The outputs are the logarithms of that mean, which are scores again: their largest
    is the class, a softmax of them gives the mean back, and a loss of scores judges them as those of one net.
    `probabilities` gives the mean itself.

    task : "classes", softmax over axis 1 of scores (N, C, ...); "yes/no", sigmoid of logits, whose outputs are logits;
        "numbers", outputs averaged as they are, as for regression.
    TypeError or ValueError for nets that are none, and whose outputs do not fit together.

    >>> import numpy as np, fastnet
    >>> nets = [fastnet.Linear(3, 2) for _ in range(5)]
    >>> fastnet.predict(Ensemble(nets), np.ones((4, 3))).shape
    (4, 2)
    """

    def __init__(self, nets, task="classes"):
        if callable(nets):  # a net whose layers can be gone through
            raise TypeError(f"Ensemble: nets must be a list of nets, got {arguments.shown(nets)}: give [net, ...]")
        nets = arguments.listed(nets, "Ensemble: nets", "nets")
        if not nets:
            raise ValueError("Ensemble: nets must hold one net at least, got none")
        self.nets = tuple(arguments.function(net, "Ensemble: nets", "a list of nets") for net in nets)
        self.task = arguments.choice(task, tuple(_SHARES), "Ensemble: task")

    def __call__(self, x):
        """The mean of what the nets say of x, as outputs of a net."""
        return self._mean(x).outputs()

    def probabilities(self, x):
        """The mean of the nets' probabilities (with task "numbers", of their outputs) for x."""
        return self._mean(x).probabilities()

    def _mean(self, x):
        mean = _Mean(self.task, "Ensemble")
        for net in self.nets:
            mean.add(net(x))
        return mean

    def __len__(self):
        return len(self.nets)

    def __repr__(self):
        return f"Ensemble({len(self.nets)} nets, task={self.task!r})"


def tta(net, x, views, times=8, seed=0, normalize=None, batch_size=128, task="classes"):
    """Test-time augmentation: the mean of what `net` says of several views of each image, one row of outputs each, as
    `Ensemble` averages nets.

    x : images (N, C, H, W), as a `DataLoader` takes them;  normalize : a `Normalize` for them, as in training
    views : an `Augment`, of which `times` views are drawn by `seed`; or a list of functions of a batch of images, each
        of which gives one view: ``[lambda x: x, lambda x: x[..., ::-1]]``. They see x normalised.
    TypeError or ValueError for what does not fit. `predict` with flip=True is the mean of two logits.

    >>> images = np.zeros((2, 3, 8, 8), np.uint8)
    >>> net = fastnet.Sequential(fastnet.AdaptiveAvgPool2d(1), fastnet.Flatten())
    >>> tta(net, images, fastnet.data.Augment(flip=True), 2).round(3)
    array([[-1.099, -1.099, -1.099],
           [-1.099, -1.099, -1.099]], dtype=float32)
    """
    arguments.function(net, "tta: net", "a net")
    times, seed = arguments.integer(times, "tta: times", 1), arguments.integer(seed, "tta: seed", 0, 2**63 - 1)
    mean = _Mean(arguments.choice(task, tuple(_SHARES), "tta: task"), "tta")
    batch_size = arguments.integer(batch_size, "tta: batch_size", 1)
    if normalize is not None:
        arguments.instance(normalize, Normalize, "tta: normalize", "a Normalize or None")
    x = arguments.array(x, "tta: x")
    if x.ndim != 4:
        raise ValueError(f"tta: x must be images, of shape (N, C, H, W), got {x.shape}")
    if isinstance(views, Augment):
        loader = DataLoader(x, None, batch_size, shuffle=False, seed=seed, augment=views, normalize=normalize)
        for _ in range(times):  # each epoch draws other views
            mean.add(predict(net, iter(loader)))
        return mean.outputs()
    views = arguments.listed(views, "tta: views", "functions of images, where it is no Augment")
    if not views:
        raise ValueError("tta: views must hold one function at least, got none")
    for view in views:
        arguments.function(view, "tta: views", "an Augment, or a list of functions of images")
    loader = DataLoader(x, None, batch_size, shuffle=False, normalize=normalize)
    for view in views:
        mean.add(predict(net, (view(batch) for batch in loader)))
    return mean.outputs()
