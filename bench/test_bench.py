"""The benchmark suite (``make bench``): every case by every contender, compared with each other before they are timed.

The idle threads of one library disturb the next one, so contenders take turns in blocks, with a pause before each.
``bench/report.py`` pools the rounds of the blocks. Words for -k: ops, train, infer, real, scaling, memory, startup.
"""
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cases
import judge
import limits
import numba
import numpy as np
import ours
import peak
import pytest
from conftest import PEERS, THREADS

import fastnet

BLOCKS = int(os.environ.get("FASTNET_BENCH_BLOCKS", "1" if cases.QUICK else "5"))
BLOCK_SECONDS = 0.12
LEAST_ROUNDS, LEAST_OF_LARGE = 4, 2     # the nets of the group real take seconds
PAUSE_SECONDS = 0.1
NAIVE_LIMIT_SECONDS = 3.0
COMPILE_LIMIT_SECONDS = 180
ALONE_STEPS = 4

if "PyTorch" in PEERS:
    import elsewhere
    import peers
    import torch
if "ONNX Runtime" in PEERS:
    import engines
    import onnx_peer
ONNX = "onnxruntime"

failed = {}  # why torch.compile did not work, by case


def contenders(case):
    """Who runs the case. torch.compile gets what it can fuse, and not the scaling: every size would be compiled.
    Another allocator gets the group real; engines for inference get every net."""
    names = ["fastnet"]
    if "PyTorch" in PEERS:
        names.append(peers.EAGER)
        if case.size > 1:
            names.append(peers.CHANNELS_LAST)
        if case.group in ("train", "infer", "real") and not cases.QUICK or case.op == "batchnorm_relu":
            names.append(peers.COMPILED)
        if case.group == "real" and elsewhere.tcmalloc():
            names.append(peers.TCMALLOC)
    if "ONNX Runtime" in PEERS and case.op == "inference":
        names += [ONNX] if case.precision == "float32" else []
        names += engines.installed(case)
    return names


def reference(case):
    """Whose results the others are compared with; None where nobody else runs the case."""
    if case.naive:
        return "naive"
    return peers.EAGER if "PyTorch" in PEERS else None


def turns():
    """(case, block, contender) in the order of timing; NumPy has one block."""
    for case in cases.CASES:
        for block in range(BLOCKS):
            for contender in (["naive"] if case.naive and block == 0 else []) + contenders(case):
                yield pytest.param(case, block, contender, id=f"{case.group} {case}-{contender}-{block}")


@contextmanager
def time_limit(seconds):
    """Raises TimeoutError in the block after ``seconds``, where the system has alarms."""

    def ring(number, frame):
        raise TimeoutError(f"took more than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    previous = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def use_threads(count):
    """As many threads for every library; ONNX Runtime is told when it loads a graph."""
    numba.set_num_threads(count)
    if "PyTorch" in PEERS:
        torch.set_num_threads(count)


def prepare(case, contender):
    """The function to time."""
    if contender in ("naive", "fastnet"):
        return ours.OPERATIONS[case.op]("cpu" if contender == "fastnet" else "naive", case)
    options, threads = {"network": ours.described(case)} if case.model else {}, case.threads or THREADS
    if contender in (peers.WAYS if "PyTorch" in PEERS else ()):
        return peers.OPERATIONS[case.op](case, contender, **options)
    if contender == ONNX:
        return onnx_peer.inference(case, threads, **options)
    if contender in (engines.ENGINES if "ONNX Runtime" in PEERS else ()):
        return engines.inference(contender, case, threads, **options)
    return elsewhere.Elsewhere(elsewhere.tcmalloc(), case, peers.CHANNELS_LAST, threads, **options)


@functools.lru_cache(maxsize=1)
def prepared(case):
    """{contender: what `ready` tells}: of one case, since large nets fill the memory. What PyTorch has compiled goes
    too: after eight nets it would compile no more, and say nothing."""
    if "PyTorch" in PEERS:
        torch.compiler.reset()
    gc.collect()
    return {}


def ready(case, contender):
    """The function to time, its first results as NumPy arrays, and what its first call took, all done once a case."""
    found = prepared(case)
    if contender not in found:
        found[contender] = make_ready(case, contender)
    return found[contender]


def make_ready(case, contender):
    run = prepare(case, contender)
    start = time.perf_counter()
    with time_limit(COMPILE_LIMIT_SECONDS):
        results = run()
    seconds = time.perf_counter() - start
    arrays = [np.array(r.detach().float().numpy() if hasattr(r, "detach") else r) for r in results]
    return run, arrays, seconds


def check(case, arrays, contender):
    """Compares results with those of the reference; those of a training step in doubt with those of float64."""
    _, expected, _ = ready(case, reference(case))
    judged = case.op == "step" and case.precision == "float32" and "PyTorch" in PEERS
    wrong = judge.refusal(case, arrays, expected, functools.partial(exact, case) if judged else None,
                          peer=contender != "fastnet")
    assert wrong is None, wrong


@functools.lru_cache(maxsize=1)
def exact(case):
    """The results of a training step in float64."""
    return peers.exact_step(case, ours.described(case))


@pytest.mark.parametrize(("case", "block", "contender"), list(turns()))
def test_case(case, block, contender, benchmark):
    """Checks, warms up, times."""
    use_threads(case.threads or THREADS)
    compiled = contender == "torch compiled"
    try:
        if compiled and case in failed:
            raise failed[case]
        run, arrays, first_call = ready(case, contender)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    except Exception as error:
        if not compiled:
            raise
        failed[case] = error
        pytest.skip(f"torch.compile did not work here: {type(error).__name__}: {error}")
    if contender == "naive":
        if first_call > NAIVE_LIMIT_SECONDS:
            pytest.skip(f"{case}: naive NumPy took {first_call:.1f} s for one call, and is not timed")
    elif block == 0 and reference(case) not in (None, contender):
        check(case, arrays, contender)
    time.sleep(PAUSE_SECONDS)
    run()
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    benchmark.extra_info.update(
        group=case.group, case=str(case), op=case.op, goal=case.goal, contender=contender, flops=case.flops,
        bytes=case.bytes, first_call=first_call)
    least = LEAST_OF_LARGE if case.group == "real" else LEAST_ROUNDS
    if case.group == "real" and contender == "fastnet" and block == 0:
        shape = case.batch, case.channels, case.size, case.size
        benchmark.extra_info["work"] = limits.work(ours.network_of(case), shape, case.op == "step")
    benchmark.pedantic(run, rounds=min(200, max(least, int(BLOCK_SECONDS / seconds))))


@pytest.mark.parametrize("case", [pytest.param(case, id=f"real {case}") for case in cases.CASES
                                  if case.group == "real" and case.precision == "float32"])
def test_layers(case, benchmark):
    """What each layer of a net takes; the report sets it against what the layer cannot be quicker than."""
    use_threads(THREADS)
    prepared(case)
    x, _ = cases.net_inputs(case)
    found = benchmark.pedantic(fastnet.profile, (ours.network_of(case), x, case.op == "step"), rounds=1)
    benchmark.extra_info.update(group="layers", case=str(case), layers=[
        (row.name, row.layer, row.within, row.seconds) for row in found.rows])


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("ceiling", [pytest.param(name, id=f"{name} for ops train infer real scaling")
                                     for name in ("multiply-add", "bandwidth")])
def test_ceiling(ceiling, block, benchmark):
    """What arithmetic and memory allow; the shares in the report are shares of this."""
    use_threads(THREADS)
    run, amount = peak.burst(THREADS) if ceiling == "multiply-add" else peak.triad()
    time.sleep(PAUSE_SECONDS)
    benchmark.extra_info.update(group="ceiling", case=ceiling, contender="fastnet", amount=amount)
    benchmark.pedantic(run, rounds=10, warmup_rounds=2)


def alone(contender, model, steps, cache=None):
    """What bench/alone.py prints."""
    description = model if contender == "fastnet" else json.dumps(ours.describe(ours.network(model)))
    here = str(Path(fastnet.__file__).parents[1])  # the fastnet that this process runs, installed or not
    environment = os.environ | {"NUMBA_NUM_THREADS": str(THREADS), "PYTHONPATH": here}
    if cache:
        environment["FASTNET_CACHE_DIR"] = str(cache)
    command = [sys.executable, Path(__file__).with_name("alone.py"), contender, description, str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def outsiders():
    """The contenders that run in a process of their own."""
    return ["fastnet"] + ([peers.EAGER, peers.CHANNELS_LAST] if "PyTorch" in PEERS else [])


@pytest.mark.parametrize("contender", outsiders())
@pytest.mark.parametrize("model", cases.MODELS)
def test_memory(model, contender, benchmark):
    """Peak of resident memory, libraries included, of a few steps at batch 128."""
    if contender == "fastnet":
        alone(contender, model, 1)  # compiles, which takes memory of its own
    found = benchmark.pedantic(alone, (contender, model, ALONE_STEPS), rounds=1)
    benchmark.extra_info.update(group="memory", contender=contender, values={
        f"step {model}, batch 128": found["peak"],
        f"step {model}, batch 128, above what was there before": found["above what was there before"]})


@pytest.mark.parametrize("contender", outsiders())
def test_startup(contender, benchmark, tmp_path):
    """Time to import, to the end of the first step ever, and of the first step in a later process."""
    first = benchmark.pedantic(alone, (contender, "small_convnet", 1, tmp_path), rounds=1)
    again = alone(contender, "small_convnet", 1, tmp_path)
    values = {"import": again["import"], "first step small_convnet, from the cache": again["first step"]}
    if contender == "fastnet":
        values["first step small_convnet, ever"] = first["first step"]
    else:  # nothing is kept from one process to the next
        values["first step small_convnet, ever"] = again["first step"]
    benchmark.extra_info.update(group="startup", contender=contender, values=values)
