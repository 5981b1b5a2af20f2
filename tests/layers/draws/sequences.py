"""Recurrent layers, with and without states to begin with, and tables of vectors."""
from ..battery import Integers
from .config import Config, one, some, written


def _recurrent(name, **own):
    """A layer that has these arguments, each one of some values, beside those of all."""
    def draw(rng):
        features, hidden, layers, both = some(rng, 1, 9), some(rng, 1, 20), some(rng, 1, 3), one(rng, True, False)
        batch_first, steps, batch = one(rng, True, False), some(rng, 1, 5), some(rng, 1, 14)
        options = {key: one(rng, *values) for key, values in own.items()} | {
            "num_layers": layers, "bias": one(rng, True, False), "batch_first": batch_first, "bidirectional": both}
        x = (batch, steps, features) if batch_first else (steps, batch, features)
        state = layers * (1 + both), batch, hidden
        return Config(written(name, features, hidden, **options),
                      one(rng, x, [x, [state, state] if name == "LSTM" else state]))

    return draw


def _embedding(rng):
    """Indices are below 5."""
    rows, options = some(rng, 5, 9), {}
    if rng.random() < 0.5:
        options["padding_idx"] = some(rng, -rows, rows - 1)
    if rng.random() < 0.5:
        options["scale_grad_by_freq"] = True
    shape = [some(rng, 1, 6) for _ in range(some(rng, 1, 4))]
    return Config(written("Embedding", rows, some(rng, 1, 40), **options), Integers(shape))


DRAWS = {"RNN": _recurrent("RNN", nonlinearity=("tanh", "relu")), "GRU": _recurrent("GRU"), "LSTM": _recurrent("LSTM"),
         "Embedding": _embedding}
