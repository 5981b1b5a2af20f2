"""What estimators of classes share: classes and their numbers, scores and what follows from them."""
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from fastnet.probabilities import sigmoid, softmax


class Classifier(ClassifierMixin):
    """A classifier whose method `outputs` gives scores (N, C). Only with `several_labels` may y be (N, L)."""

    several_labels, class_weight = False, None

    def encoded(self, given, first, classes=None):
        """Samples whose y are numbers of classes, int64, or labels (N, L), float32, weighted as class_weight says."""
        y, multilabel = self._kind(given.y)
        if first:
            self.multilabel_ = multilabel
            if classes is not None:
                self.classes_ = unique_labels(classes)
            else:
                self.classes_ = np.arange(y.shape[1]) if multilabel else np.unique(y)
            self.n_outputs_ = len(self.classes_)
        labels = y.astype(np.float32) if multilabel else self._numbers(y)
        if multilabel != self.multilabel_ or multilabel and y.shape[1] != self.n_outputs_:
            raise ValueError(f"{self._who}: y must be of the kind and the columns as before, got {y.shape}")
        weight = given.weight
        if self.class_weight is not None:
            if classes is not None and self.class_weight == "balanced":
                raise ValueError(f"{self._who}: class_weight must be a dictionary in partial_fit, which does not see "
                                 "all rows, got 'balanced'")
            more = compute_sample_weight(self.class_weight, y).astype(np.float32)
            weight = more if weight is None else weight * more
        return given._replace(y=labels, weight=weight)

    def _kind(self, y):
        """(y as it is gone on with, whether it has several labels a row)."""
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError(f"{self._who}: y must be one class for each row, or a matrix of 0 and 1, got several "
                             "columns of classes: sklearn.multioutput.MultiOutputClassifier fits one for each")
        if kind == "multilabel-indicator":
            if not self.several_labels:
                raise ValueError(f"{self._who}: y must be one class for each row, of shape (N,), got {y.shape}: "
                                 "NetClassifier takes several labels")
            return np.asarray(y), True
        return column_or_1d(y, warn=True), False

    def _numbers(self, y):
        """Classes as numbers."""
        numbers = np.searchsorted(self.classes_, y)
        numbers = np.minimum(numbers, len(self.classes_) - 1)
        unknown = self.classes_[numbers] != y
        if unknown.any():
            raise ValueError(f"{self._who}: y must hold classes that are known, {self.classes_.tolist()}, got "
                             f"{y[unknown][0]}")
        return numbers

    def decision_function(self, X):
        """Scores (N, C); for two classes (N,), that of the second less that of the first."""
        scores = self.outputs(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 and not self.multilabel_ else scores

    def predict(self, X):
        """The class of each row; with several labels (N, L) of 0 and 1."""
        scores = self.outputs(X)
        return (scores > 0).astype(int) if self.multilabel_ else self.classes_[scores.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.several_labels
        return tags


def probabilities(scores, multilabel):
    """The softmax of scores (N, C), or the sigmoid of each."""
    return (sigmoid if multilabel else softmax)(scores).astype(np.float32)
