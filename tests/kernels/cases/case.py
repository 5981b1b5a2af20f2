"""What a case is, and what a family of operations tells of its own."""
from collections import namedtuple

Case = namedtuple("Case", "op name shapes options")


def as_list(results):
    return list(results) if isinstance(results, (tuple, list)) else [results]
