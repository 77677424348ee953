"""add_s8: every variant in an emulated core against the family's formula in NumPy."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import Kernel, Machine, build, kernels, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qemu_machine import QemuMachine, close, open_machine

CORES = ("cortex-m0plus", "cortex-m4f", "cortex-m55", "cortex-a76")
GUARD = bytes(range(96, 160))
S8 = npt.NDArray[np.int8]
Loaded = tuple[Machine | QemuMachine, list[Kernel]]


@pytest.fixture(scope="module", params=CORES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    found = kernels(request.param, "add_s8")
    machine = open_machine(request.param, [k.path for k in found], tmp_path_factory.mktemp("add"))
    yield machine, found
    close(machine)


def added(
    m: Machine | QemuMachine, k: Kernel, shape: tuple[int, int, int], numbers: list[int], a: S8, b: S8, y: str
) -> S8:
    """What the kernel makes of a (outer, rows, cols) and b (outer, cols); y: where to, "new", "a" or "b"."""
    m.reset()
    p = m.place(struct.pack("<9i", *shape, *numbers))
    at = {"a": m.place(a.tobytes(), GUARD, GUARD), "b": m.place(b.tobytes(), GUARD, GUARD)}
    at["new"] = m.place(b"\x5a" * a.size, GUARD, GUARD)
    m.call(k.symbol, p, at["a"], at["b"], at[y])
    for name, x in (("a", a), ("b", b), ("new", a)):
        assert m.read(at[name] - len(GUARD), len(GUARD)) == GUARD, f"{k.symbol} wrote before a buffer"
        assert m.read(at[name] + x.size, len(GUARD)) == GUARD, f"{k.symbol} wrote past a buffer"
        if name not in (y, "new"):
            assert m.read(at[name], x.size) == x.tobytes(), f"{k.symbol} wrote to an input"
    return np.frombuffer(m.read(at[y], a.size), np.int8).reshape(a.shape)


def test_sums_equal_numpy(loaded: Loaded) -> None:
    machine, found = loaded
    assert len(found) >= 2

    @settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1), st.booleans())
    def check(seed: int, extreme: bool) -> None:
        rng = np.random.default_rng(seed)
        outer, rows = int(rng.integers(1, 4)), int(rng.integers(1, 5))
        cols = int(rng.choice([1, 2, 3, 4, 5, 8, 12, 15, 16, 40, 63]))
        draw = np.array([-128, 127]) if extreme else np.arange(-128, 128)
        a = rng.choice(draw, (outer, rows, cols)).astype(np.int8)
        b = rng.choice(draw, (outer, cols)).astype(np.int8)
        shift = int(rng.integers(0, 31))
        most = int(rng.choice([1 << 8, 1 << 16, 1 << 20]))
        ma, mb = (int(v) for v in (rng.choice([-most, most], 2) if extreme else rng.integers(-most, most, 2)))
        room = 2**31 - 1 - 128 * (abs(ma) + abs(mb))
        add = int(rng.choice([-room, room]) if extreme else rng.integers(-room, room + 1))
        qmin, qmax = sorted(rng.integers(-128, 128, 2).tolist()) if rng.random() < 0.5 else (-128, 127)
        exact = ma * a.astype(np.int64) + mb * b[:, None].astype(np.int64) + add
        want = np.clip(exact >> shift, qmin, qmax).astype(np.int8)
        places = ["new", "a", "b"] if rows == 1 else ["new", "a"]
        for k in found:
            y = str(rng.choice(places))
            got = added(machine, k, (outer, rows, cols), [ma, mb, add, shift, qmin, qmax], a, b, y)
            np.testing.assert_array_equal(got, want, k.symbol)

    check()


def test_a_planted_bug_is_found(tmp_path: Path) -> None:
    """One wrong shift in the assembly, and the comparison fails: it looks at what the kernel computes."""
    file = "add_s8__armv6m.c"
    runtime = planted(tmp_path, file, '"lsls r7, r4, #8', '"lsls r7, r4, #7')
    source = runtime / "kernels" / "add_s8" / file
    kernel = Kernel(source, "add_s8", "armv6m", "none")
    elf = build("cortex-m0plus", [source], tmp_path / "bad.elf", kernel.symbol, runtime=runtime)
    machine = Machine("cortex-m0plus", elf)
    a, b = np.full((1, 1, 8), 77, np.int8), np.zeros((1, 8), np.int8)
    got = added(machine, kernel, (1, 1, 8), [1, 1, 0, 0, -128, 127], a, b, "new")
    assert (got == a).any()
    assert not (got == a).all()
