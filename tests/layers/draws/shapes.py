"""What changes the shape only."""
from .config import Config, shape, some

DRAWS = {
    "Flatten": lambda rng: Config("Flatten()", shape(rng, some(rng, 1, 20))),
    "Identity": lambda rng: Config("Identity()", shape(rng, some(rng, 1, 20))),
}
