"""The same source serves older processors, and plain Python."""
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import pytest
from numba import config

from fastnet.kernels.cpu import simd

INTEL = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names of x86 processors")
HASWELL = llvmlite.binding.get_host_cpu_features().get("avx2", False)
VARIABLES = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_DISABLE_JIT")


@pytest.mark.parametrize("host, expected", [
    pytest.param(("haswell", "", "0"), ["avx2", 8, False],
                 marks=[INTEL, pytest.mark.slow, pytest.mark.skipif(not HASWELL, reason="needs AVX2")]),
    pytest.param(("x86-64", "", "0"), ["plain", 4, False], marks=[INTEL, pytest.mark.slow]),
    (None, [simd.HOST, simd.width("float32"), False]),
], ids=["haswell", "x86-64", "no-compiler"])
def test_operations_on_another_host(host, expected):
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    if host:
        environment.update(zip(VARIABLES, host, strict=True))
    done = subprocess.run([sys.executable, "-m", "tests.kernels.cpu.hosts"], cwd=Path(__file__).parents[3],
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *found, run = json.loads(done.stdout)
    assert found == expected and run > 5


@INTEL
@pytest.mark.parametrize("name, features, expected", [
    ("haswell", None, "avx2"), ("haswell", "", "avx2"), ("haswell", "+bmi", "avx2"), ("haswell", "-avx2", "plain"),
    ("Skylake-AVX512", "", "avx512"), ("skylake-avx512", "-avx512f", "avx2"), ("x86-64", None, "plain"),
    ("x86-64-v3", None, "avx2"), ("x86-64-v4", None, "avx512"), ("generic", "", "plain"),
    ("x86-64", "+sse3,+avx2,+fma", "avx2"), ("x86-64", "+avx512f", "avx512"), ("haswell", "-fma", "plain"),
])
def test_width_follows_what_numba_is_told(monkeypatch, name, features, expected):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    assert simd.host.instructions()[0] == expected


@INTEL
@pytest.mark.parametrize("name, host, expected", [
    (None, "skylake-avx512", True), (None, "znver4", False), ("znver5", "skylake-avx512", False),
    ("haswell", "znver4", False), ("Sapphirerapids", "znver4", True)])
def test_quotients_are_guessed_where_division_is_slow(monkeypatch, name, host, expected):
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: {"avx512f": True})
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_name", lambda: host)
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", None)
    assert simd.host.guesses() == expected


PAIRS = {"avx512f": True, "avx512vl": True, "avx512bf16": True, "avx2": True, "fma": True}


@INTEL
@pytest.mark.parametrize("name, features, host, expected", [
    (None, None, PAIRS, True), (None, None, PAIRS | {"avx512bf16": False}, False), (None, "-avx512vl", PAIRS, False),
    (None, "-avx512f", PAIRS, False), ("znver4", "", {}, True), ("znver4", None, PAIRS, True),
    ("znver4", None, PAIRS | {"avx512bf16": False}, False),  # Numba compiles for the host's features then
    ("znver4", "-avx512bf16", PAIRS, False), ("haswell", None, PAIRS, False), ("skylake-avx512", "", PAIRS, False),
    ("skylake-avx512", "+avx512bf16,+avx512vl", {}, True)])
def test_instructions_for_bfloat16_must_be_there(monkeypatch, name, features, host, expected):
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: host)
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_name", lambda: "skylake")
    assert simd.host.instructions()[1] == expected


@INTEL
@pytest.mark.parametrize("features, expected", [
    ({"avx512f": True, "avx2": True, "fma": True}, ["avx512", "avx2", "plain"]),
    ({"avx512f": False, "avx2": True, "fma": True}, ["avx2", "avx2", "plain"]),
    ({"avx512f": False, "avx2": True, "fma": False}, ["plain", "plain", "plain"]),
    ({}, ["plain", "plain", "plain"]),
])
def test_width_follows_the_host(monkeypatch, features, expected):
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: features)
    monkeypatch.setattr(config, "CPU_NAME", None)
    found = []
    for given in (None, "-avx512f", "-avx512f,-avx2"):
        monkeypatch.setattr(config, "CPU_FEATURES", given)
        found.append(simd.host.instructions()[0])
    assert found == expected


@pytest.mark.parametrize("triple, expected", [("aarch64-unknown-linux-gnu", "neon"), ("arm64-apple-darwin23", "neon"),
                                              ("ppc64le-unknown-linux-gnu", "plain")])
def test_width_on_other_architectures(monkeypatch, triple, expected):
    monkeypatch.setattr(llvmlite.binding, "get_process_triple", lambda: triple)
    assert simd.host.instructions()[0] == expected
