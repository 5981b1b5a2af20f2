"""Random numbers without a state: those of a sample follow from the seed, the epoch and the sample's place in the data
set, so that neither batch size nor threads nor prefetching can change them."""
import numpy as np

# What a random number is for: the order and the augmentation of an epoch must not depend on each other.
ORDER, TOP, LEFT, FLIP, CUT_ROW, CUT_COLUMN, BRIGHTNESS, CONTRAST, SAMPLER = range(9)


def random_bits(seed, epoch, index, purpose):
    """64 random bits for every element of `index`, as uint64 of its shape.

    The four numbers pass one after the other through the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014; constants: Stafford's mix 13).
    """
    bits = np.zeros(1, np.uint64)
    for word in (seed, epoch, purpose, index):
        bits = _mix((bits ^ np.asarray(word).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15))
    return bits


def _mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def permutation(seed, epoch, n):
    """The numbers 0 to n - 1 in the random order of this seed and epoch, int64."""
    return np.argsort(random_bits(seed, epoch, np.arange(n), ORDER), kind="stable")
