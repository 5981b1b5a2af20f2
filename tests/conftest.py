"""Settings that every test shares."""
import pytest
from hypothesis import settings

from fastnet import kernels

settings.register_profile("fastnet", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("fastnet")


@pytest.fixture(params=kernels.BACKENDS)
def ops(request):
    """Each backend's module of operations in turn."""
    return kernels.load(request.param)
