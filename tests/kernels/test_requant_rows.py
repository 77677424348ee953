"""Requantisation of a row of sums, as the drivers of dense and convolution layers inline it, on every small core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from check_runner import Machine, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.ir.graph import Requant
from edgebit.ops.requant import requantise

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4f")
GUARD = bytes(range(96, 160))
SOURCE = """#include "epilogue/epilogue.h"
void row(const int32_t *acc, const eb_requant_entry *e, int8_t *y, const eb_requant_params *p, int32_t n);
void row(const int32_t *acc, const eb_requant_entry *e, int8_t *y, const eb_requant_params *p, int32_t n) {
    eb_requant_row(acc, e, y, p, n);
}
"""


def machine(core: str, folder: Path) -> Machine:
    (folder / "row.c").write_text(SOURCE)
    return Machine(core, build(core, [folder / "row.c"], folder / f"{core}.elf", "row"))


def made(m: Machine, acc: np.ndarray, r: Requant) -> np.ndarray:
    n = len(acc)
    entries = np.zeros(n, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
    entries["add"], entries["mul"], entries["shift"] = r.add, r.mul, r.shift
    params = np.array([(1 << r.pre_shift) >> 1, r.pre_shift, r.qmin, r.qmax], "<i4")
    m.reset()
    at = [m.place(v.tobytes(), GUARD, GUARD) for v in (acc, entries)]
    y = m.place(b"\x5a" * n, GUARD, GUARD)
    m.call("row", *at, y, m.place(params.tobytes()), n)
    assert m.read(y - 64, 64) == m.read(y + n, 64) == GUARD, "it wrote outside y"
    return np.frombuffer(m.read(y, n), np.int8)


@pytest.mark.parametrize("core", CORES)
def test_rows_equal_numpy(core: str, tmp_path: Path) -> None:
    m = machine(core, tmp_path)

    @settings(max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1), st.integers(1, 41), st.booleans(), st.sampled_from([0, 1, 5, 11]))
    def check(seed: int, n: int, full: bool, pre_shift: int) -> None:
        rng = np.random.default_rng(seed)
        top = 1 << (14 + pre_shift)
        acc = rng.choice([rng.integers(-top, top, n), rng.choice([-top, top - 1], n)]).astype(np.int32)
        mul = rng.choice([rng.integers(-(2**15), 2**15, n), rng.choice([-(2**15), 2**15 - 1], n)])
        shift, add = rng.integers(0, 24, n).astype(np.int32), rng.integers(-(2**29), 2**29, n)
        qmin, qmax = (-128, 127) if full else sorted(rng.integers(-128, 128, 2).tolist())
        r = Requant(mul.astype(np.int32), add.astype(np.int32), shift, pre_shift, qmin, qmax)
        np.testing.assert_array_equal(made(m, acc, r), requantise(acc[None], r)[0])

    check()
