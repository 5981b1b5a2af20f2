"""Ten steps of training whose losses must not move. If they do, a formula has changed, or a stream of seeds."""
import numpy as np
import pytest

import fastnet
from fastnet import kernels

from . import small

# Computed by the naive backend in float64. The float32 of either backend comes within 3e-7 of them.
GOLDEN = [1.461602144, 1.444406946, 1.231062728, 1.193736197, 0.974435189,
          0.923594236, 0.623334921, 0.612361500, 0.346968993, 0.272725841]
# The same with gradients clipped to a norm of 0.5.
CLIPPED = [1.461602144, 1.448605226, 1.418782157, 1.329321689, 1.323563007,
           1.247913308, 1.138879225, 1.136693946, 1.036005717, 1.002047719]


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-5), (np.float64, 1e-8)])
@pytest.mark.parametrize("max_norm, golden", [(None, GOLDEN), (0.5, CLIPPED)])
def test_ten_steps(backend, dtype, rtol, max_norm, golden):
    losses = []
    watch = fastnet.Callback()
    watch.on_step_end = lambda trainer: losses.append(trainer.loss)
    net = small.net(seed=1, backend=backend).astype(dtype)
    batches = [(x.astype(dtype), labels) for x, labels in small.batches(8, 4, seed=1)]
    small.trainer(net, [watch], backend=backend, max_norm=max_norm).fit(batches, epochs=5)
    np.testing.assert_allclose(losses, golden, rtol=rtol)
