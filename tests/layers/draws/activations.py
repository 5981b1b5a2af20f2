"""Activations, in rows and images."""
from .config import Config, one, shape, some, written


def _plain(name):
    return lambda rng: Config(written(name), shape(rng, some(rng, 1, 20)))


def _with(name, **draws):
    """An activation with some of its numbers given."""
    def draw(rng):
        options = {key: round(float(rng.uniform(*bounds)), 3) for key, bounds in draws.items() if rng.random() < 0.7}
        return Config(written(name, **options), shape(rng, some(rng, 1, 20)))
    return draw


DRAWS = {
    **{name: _plain(name) for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Sigmoid", "Tanh",
                                       "Softsign")},
    # PyTorch divides by a float32 number, in float64 too.
    "Hardsigmoid": lambda rng: Config("Hardsigmoid()", shape(rng, some(rng, 1, 20)), ""),
    "LeakyReLU": _with("LeakyReLU", negative_slope=(0, 1)),
    "Hardtanh": _with("Hardtanh", min_val=(-2, 0), max_val=(0, 2)),
    "ELU": _with("ELU", alpha=(0.1, 2)),
    "Softplus": _with("Softplus", beta=(0.2, 3), threshold=(0.5, 20)),
    "GELU": lambda rng: Config(written("GELU", approximate=one(rng, "none", "tanh")), shape(rng, some(rng, 1, 20))),
    "Softmax": lambda rng: Config("Softmax(dim=1)", (some(rng, 1, 5), some(rng, 1, 20))),
    "LogSoftmax": lambda rng: Config("LogSoftmax(dim=1)", (some(rng, 1, 5), some(rng, 1, 20))),
}
