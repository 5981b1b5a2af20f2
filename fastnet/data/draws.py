"""Random numbers without a state: those of a sample follow from the seed, the epoch and the sample's place in the data
set, so that neither batch size nor threads nor prefetching can change them."""
import numpy as np

# What a random number is for: the order and the augmentation of an epoch must not depend on each other.
(ORDER, TOP, LEFT, FLIP, CUT_ROW, CUT_COLUMN, BRIGHTNESS, CONTRAST, SAMPLER, ANGLE, NOISE, MIX_KIND, MIX_ROW,
 MIX_COLUMN) = range(14)
WINDOW = 32     # and those after it, four for each attempt
MIX = 128       # and those after it, for as many attempts as it takes


def random_bits(seed, epoch, index, purpose):
    """64 random bits for every element of `index`, as uint64 of its shape.

    The four numbers pass one after the other through the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014; constants: Stafford's mix 13).
    """
    bits = np.zeros(1, np.uint64)
    for word in (seed, epoch, purpose, index):
        bits = _mix((bits ^ np.asarray(word).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15))
    return bits


def random_numbers(seed, epoch, index, purpose):
    """Numbers from 0 to 1, 1 excluded, float64, drawn like `random_bits`."""
    return (random_bits(seed, epoch, index, purpose) >> np.uint64(11)) * 2.0**-53


def random_shares(seed, epoch, index, alpha):
    """Numbers from 0 to 1 of the distribution Beta(alpha, alpha), one for every element of `index`.

    X / (X + Y) of two gamma variates. Each is that of alpha + 1 (Marsaglia and Tsang, "A simple method for generating
    gamma variables", 2000) times U^(1 / alpha), in logarithms, since they are tiny where alpha is.
    """
    first, second = (_log_gamma(seed, epoch, index, alpha, MIX + side) for side in (0, 1))
    return 1 / (1 + np.exp(np.clip(second - first, -700, 700)))


def _log_gamma(seed, epoch, index, alpha, purpose):
    def drawn(places, number):      # above 0, so that it has a logarithm
        return 1 - random_numbers(seed, epoch, places, purpose + 2 * number)

    index = np.asarray(index)
    d = alpha + 2 / 3
    result, missing, number = np.empty(len(index)), np.arange(len(index)), 1
    while len(missing):
        places = index[missing]
        normal = np.sqrt(-2 * np.log(drawn(places, number))) * np.cos(2 * np.pi * drawn(places, number + 1))
        cube = np.maximum(1 + normal / np.sqrt(9 * d), 1e-300) ** 3
        bound = normal**2 / 2 + d * (1 - cube + np.log(np.maximum(cube, 1e-300)))
        good = (cube > 1e-300) & (np.log(drawn(places, number + 2)) < bound)
        result[missing[good]] = np.log(d * cube[good])
        missing, number = missing[~good], number + 3
    return result + np.log(drawn(index, 0)) / alpha


def _mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def permutation(seed, epoch, n):
    """The numbers 0 to n - 1 in the random order of this seed and epoch, int64."""
    return np.argsort(random_bits(seed, epoch, np.arange(n), ORDER), kind="stable")
