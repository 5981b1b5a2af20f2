"""What scores say of probabilities, in NumPy and in float64: for what is computed of a net's outputs afterwards."""
import numpy as np


def softmax(scores):
    """exp(s[n, c]) / sum over j of exp(s[n, j]), along axis 1."""
    scores = np.asarray(scores, np.float64)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits):
    """1 / (1 + exp(-s))."""
    return np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64)))
