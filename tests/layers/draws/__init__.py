"""Random configurations of layers: a file a family, each with DRAWS, {layer: draw(rng), a Config}."""
from . import activations, convolutions, norms, pools, resample, sequences, shapes
from .config import Config

__all__ = ["DRAWS", "Config"]

DRAWS = {name: draw for family in (activations, convolutions, norms, pools, resample, sequences, shapes)
         for name, draw in family.DRAWS.items()}
