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


def _along(name):
    """One of any axis of rows or images, counted from either end."""
    def draw(rng):
        x_shape = shape(rng, some(rng, 1, 20))
        return Config(f"{name}(dim={some(rng, -len(x_shape), len(x_shape) - 1)})", x_shape)
    return draw


def _prelu(rng):
    channels = some(rng, 1, 20)
    options = {"num_parameters": one(rng, 1, channels), "init": round(float(rng.uniform(-1, 1)), 3)}
    return Config(written("PReLU", **options), shape(rng, channels))


DRAWS = {
    **{name: _plain(name) for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Sigmoid", "Tanh",
                                       "Softsign", "LogSigmoid", "Tanhshrink")},
    # PyTorch divides by a float32 number, in float64 too.
    "Hardsigmoid": lambda rng: Config("Hardsigmoid()", shape(rng, some(rng, 1, 20)), ""),
    "LeakyReLU": _with("LeakyReLU", negative_slope=(0, 1)),
    "Hardtanh": _with("Hardtanh", min_val=(-2, 0), max_val=(0, 2)),
    "ELU": _with("ELU", alpha=(0.1, 2)),
    "Softplus": _with("Softplus", beta=(0.2, 3), threshold=(0.5, 20)),
    "GELU": lambda rng: Config(written("GELU", approximate=one(rng, "none", "tanh")), shape(rng, some(rng, 1, 20))),
    "Softmax": _along("Softmax"),
    "LogSoftmax": _along("LogSoftmax"),
    # PyTorch's gradient has 1 / alpha in float32, in float64 too.
    "CELU": lambda rng: _with("CELU", alpha=(0.1, 2))(rng)._replace(judge=""),
    "Softshrink": _with("Softshrink", lambd=(0, 1)),
    "Hardshrink": _with("Hardshrink", lambd=(0, 1)),
    "Threshold": lambda rng: Config(written("Threshold", *rng.uniform(-1, 1, 2).round(3).tolist()),
                                    shape(rng, some(rng, 1, 20))),
    "PReLU": _prelu,
    "Maxout": lambda rng: Config(written("Maxout", 3, some(rng, 1, 4), some(rng, 1, 4), bias=one(rng, True, False)),
                                 (some(rng, 1, 4), 3), ""),
}
