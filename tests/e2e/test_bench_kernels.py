"""edgebit bench --kernels: what it prints, that kernels are right, and that figures repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

KEYS = {"shape", "kernel", "layout", "metric", "value", "bits_per_weight", "scratch_bytes", "bit_exact"}
SHAPES = ("--shape", "fc-256x64", "--shape", "conv1x1-64-64-8x8")


def test_rows_of_a_core(edgebit: Callable[..., Any]) -> None:
    first = edgebit("bench", "--kernels", "--core", "cortex-m0plus", *SHAPES, "--json").json
    assert first["core"] == "cortex-m0plus"
    assert first["skipped"] == []
    for name in ("fc-256x64", "conv1x1-64-64-8x8"):
        rows = [r for r in first["rows"] if r["shape"] == name]
        kernels = [r["kernel"] for r in rows]
        assert len(set(kernels)) == len(kernels) >= 2
        assert "tmatvec_s8__ref" in kernels
        assert sum(r["chosen"] for r in rows) == 1
        (ref,) = (r for r in rows if r["kernel"] == "tmatvec_s8__ref")
        assert min(r["value"] for r in rows) < ref["value"] / 4
    for r in first["rows"]:
        assert set(r) >= KEYS
        assert r["metric"] == "modelled cycles/MAC"
        assert r["bit_exact"] is True
        assert 0 < r["value"] < 100
        assert r["bits_per_weight"] >= 1.58
    again = edgebit("bench", "--kernels", "--core", "cortex-m0plus", *SHAPES[:2], "--json").json
    assert again["rows"] == [r for r in first["rows"] if r["shape"] == "fc-256x64"]


def test_the_host_is_timed_against_its_portable_kernels(edgebit: Callable[..., Any]) -> None:
    found = edgebit("bench", "--kernels", "--core", "host", "--shape", "fc-256x64", "--json").json
    assert {r["metric"] for r in found["rows"]} == {"wall clock, ratio to ref in one run"}
    assert all(r["bit_exact"] for r in found["rows"])
    (ref,) = (r["value"] for r in found["rows"] if r["kernel"] == "tmatvec_s8__ref")
    assert 0.2 < ref < 5


def test_a_board_is_measured_as_its_memories_allow(edgebit: Callable[..., Any]) -> None:
    """On the Pico the choice fears its flash; the STM32G0's is not behind a cache."""
    args = ("bench", "--kernels", "--shape", "net-ad", "--optimize", "speed", "--json", "--board")
    pico, g0 = (edgebit(*args, board).json for board in ("pico", "nucleo-g0b1re"))
    assert pico["core"] == g0["core"] == "cortex-m0plus"
    assert "nucleo-g0b1re" in g0["machine"]
    cost = [next(r["value"] for r in found["rows"] if r["chosen"]) for found in (pico, g0)]
    assert cost[1] < 0.95 * cost[0]


def test_a_network_is_measured_whole(edgebit: Callable[..., Any]) -> None:
    found = edgebit("bench", "--kernels", "--core", "cortex-m4f", "--shape", "net-ad", "--json").json
    rows = [r for r in found["rows"] if r["shape"] == "net-ad"]
    assert sum(r["chosen"] for r in rows) == 1
    for r in rows:
        assert r["bit_exact"] is True
        assert r["metric"] == "modelled cycles/inference"
        assert r["macs"] == 264_192
        assert r["value"] < 500_000


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--kernels",), "--core"),
        (("--core", "host"), "--kernels"),
        (("--kernels", "--core", "host", "--board", "pico"), "has a cortex-m0plus"),
        (("--kernels", "--core", "host", "--port", "/dev/ttyACM0"), "takes no export"),
        (("--kernels", "--board", "toaster"), "toaster"),
        (("--kernels", "--core", "cortex-m99"), "cortex-m99"),
        (("--kernels", "--core", "host", "--shape", "fc-1x1"), "fc-1x1"),
        (("--kernels", "--core", "host", "--optimize", "fun"), "fun"),
    ],
)
def test_what_cannot_be_measured_is_said(
    args: tuple[str, ...], said: str, edgebit: Callable[..., Any]
) -> None:
    assert said in edgebit("bench", *args, "--json", code=2).json["error"]
