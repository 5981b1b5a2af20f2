"""Linear classifiers, x w^T + b with a row of w and a number of b for each class: nets of one `Linear`."""
import numpy as np

from fastnet import arguments, init, layers, losses
from fastnet.estimators.classes import probabilities
from fastnet.estimators.nets import ScoreNet, keep


class Templates:
    """What linear classifiers tell of `weights`, the arrays w (C, F) and b (C,)."""

    @property
    def coef_(self):
        """w; for two classes (1, F), the second row less the first."""
        return _difference(self.weights()[0])

    @property
    def intercept_(self):
        """b; for two classes (1,) likewise."""
        return _difference(self.weights()[1])

    def templates(self, shape=None):
        """The weights of each class as a picture of `shape`, such as (3, 32, 32), that of the images of fit where it is
        None: (C, *shape), for ``plot.filters``."""
        w, who = self.weights()[0], f"{type(self).__name__}.templates: shape"
        shape = self.input_shape_ if shape is None else arguments.shape(shape, who)
        if int(np.prod(shape)) != w.shape[1]:
            raise ValueError(f"{who} must be that of a picture of {w.shape[1]} numbers, got {shape}")
        return w.reshape(-1, *shape).copy()


def _difference(values):
    return values[1:] - values[:1] if len(values) == 2 else values


class LinearNet(Templates, ScoreNet):
    """What linear nets share. Weights start as zeros."""

    def make_net(self, x):
        """The net for rows of that kind."""
        flatten = [layers.Flatten()] if x.ndim > 2 else []
        net = layers.Sequential(*flatten, layers.Linear(int(np.prod(x.shape[1:])), self.n_outputs_))
        return init.apply(net, init.zeros, init.zeros)

    def strength(self, total):
        """1 / (2 C) over the weight of a batch."""
        return 1 / (2 * self.C * total)

    def weights(self):
        """(w, b)."""
        linear = self.net_[-1]
        return linear.weight.value, linear.bias.value

    def _check(self):
        super()._check()
        arguments.number(self.C, f"{self._who}: C", above=0)


class SVMClassifier(LinearNet):
    """The multiclass support vector machine: C times the sum, over all rows, of max(0, 1 - x[y] + x[c]) over all
    classes c but the right one, y, plus half the sum of squared weights; x are the scores of a row.

    With loss="squared_hinge" each max is squared. Larger `C` binds the weights less; what is minimised is that sum
    over C and the number of rows, a mean loss. The other arguments are those of `NetClassifier`, and `templates` shows
    the weights as pictures. Rows are best scaled before. With two classes it is SVC(kernel="linear", C=2 * C).
    Weston and Watkins, Multi-class Support Vector Machines (1998).

    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [4.0], [5.0]]), ["low", "low", "high", "high"]
    >>> SVMClassifier(random_state=0).fit(X, y).predict([[-1.0], [6.0]]).tolist()
    ['low', 'high']
    """

    def __init__(self, C=1.0, loss="hinge", *, solver="adam", batch_size="auto", learning_rate_init=0.01, max_iter=200,
                 tol=1e-4, n_iter_no_change=10, early_stopping=False, validation_fraction=0.1, class_weight=None,
                 callbacks=(), warm_start=False, verbose=False, random_state=None):
        keep(self, locals())

    def make_loss(self):
        """The loss that is trained with."""
        power = ("hinge", "squared_hinge").index(self.loss) + 1
        return losses.MultiMarginLoss(power, over_classes="sum")

    def _check(self):
        super()._check()
        arguments.choice(self.loss, ("hinge", "squared_hinge"), f"{self._who}: loss")


class SoftmaxClassifier(LinearNet):
    """Multinomial logistic regression: C times the sum, over all rows, of -log softmax(x)[y] plus half the sum of
    squared weights; x are the scores of a row and y its class.

    It is what scikit-learn's LogisticRegression finds; what is minimised is that sum over C and the number of rows, a
    mean loss, by L-BFGS over all rows at once. For many rows solver="adam" or "sgd" takes batches. The other arguments
    are those of `NetClassifier`, and `templates` shows the weights as pictures.

    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [4.0], [5.0]]), [0, 0, 1, 1]
    >>> SoftmaxClassifier().fit(X, y).predict_proba([[2.5]]).round(2).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, C=1.0, *, solver="lbfgs", batch_size="auto", learning_rate_init=0.01, max_iter=200, tol=1e-4,
                 n_iter_no_change=10, early_stopping=False, validation_fraction=0.1, class_weight=None, callbacks=(),
                 warm_start=False, verbose=False, random_state=None):
        keep(self, locals())

    def make_loss(self):
        """The loss that is trained with."""
        return losses.CrossEntropyLoss()

    def predict_proba(self, X):
        """Probabilities (N, C), which add up to 1."""
        return probabilities(self.outputs(X), False)
