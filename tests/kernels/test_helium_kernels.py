"""The Helium kernels in QEMU: the kernel tester, NumPy, the bounds of the accumulators, planted bugs."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Report, build, build_tester, kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.core import load_core
from edgebit.ir.graph import Requant
from edgebit.layouts.base import layout_of, round_up
from edgebit.ops.requant import requantise

CORE = "cortex-m55"
MASK4 = layout_of("mask4")
GUARD = b"\x5a" * 16
QEMU = shutil.which("qemu-system-arm")
pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-arm is not installed")

Bytes = npt.NDArray[np.int8]


def start(elf: Path, folder: Path) -> Report:
    """Run an image on the emulated board until it exits."""
    options = ["-display", "none", "-monitor", "none", "-serial", "null"]
    options += ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(
        [str(QEMU), "-M", "mps3-an547", *options, "-kernel", str(elf)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Report(done.returncode, done.stdout + done.stderr)


@dataclass(frozen=True)
class Product:
    """One matrix and one input; the bytes past cols hold `past`."""

    trits: Bytes
    x: Bytes
    past: int = 77

    def request(self) -> bytes:
        rows, cols = self.trits.shape
        packed = MASK4.pack(self.trits)
        x = np.full(round_up(cols, 16), self.past, np.int8)
        x[:cols] = self.x
        return struct.pack("<4i", 0, rows, cols, len(packed)) + packed + x.tobytes()

    def check(self, raw: bytes) -> int:
        rows = self.trits.shape[0]
        size = 4 * round_up(rows, 4)
        assert raw[:16] == raw[16 + size : 32 + size] == GUARD, f"wrote outside acc: {self.trits.shape}"
        want = self.trits.astype(np.int64) @ self.x.astype(np.int64)
        assert np.array_equal(np.frombuffer(raw, "<i4", rows, 16), want), self.trits.shape
        return 32 + size


@dataclass(frozen=True)
class Requantisation:
    """One row of sums."""

    requant: Requant
    acc: npt.NDArray[np.int32]

    def request(self) -> bytes:
        r = self.requant
        entries = np.zeros(self.acc.size, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
        entries["add"], entries["mul"], entries["shift"] = r.add, r.mul, r.shift
        half = (1 << r.pre_shift) >> 1
        head = struct.pack("<6i", 1, self.acc.size, half, r.pre_shift, r.qmin, r.qmax)
        return head + entries.tobytes() + self.acc.tobytes()

    def check(self, raw: bytes) -> int:
        n = self.acc.size
        assert raw[:16] == raw[16 + n : 32 + n] == GUARD, "wrote outside y"
        assert np.array_equal(np.frombuffer(raw, np.int8, n, 16), requantise(self.acc, self.requant))
        return 32 + n


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    sources = [
        Path(__file__).with_name("helium_batch.c"),
        RUNTIME / "kernels" / "tmatvec_s8" / "tmatvec_s8__mve.c",
        RUNTIME / "check" / "port_cortex_m.c",
    ]
    return build(CORE, sources, folder / "batch.elf", "eb_start", ["-DEB_CHECK"])


def run(batch: Path, cases: list[Product | Requantisation]) -> None:
    """Run all cases in one start and check every answer."""
    folder = batch.parent
    (folder / "cases.bin").write_bytes(b"".join(c.request() for c in cases))
    report = start(batch, folder)
    assert report.exit == 0, report.text
    raw = (folder / "results.bin").read_bytes()
    for case in cases:
        raw = raw[case.check(raw) :]
    assert raw == b""


def test_every_variant_agrees_with_its_reference(tmp_path: Path) -> None:
    for seed in (1, 7):
        report = start(build_tester(CORE, tmp_path, ["--seed", str(seed)]), tmp_path)
        assert report.exit == 0, report.text
        expected = {k.symbol.removeprefix("eb_") for k in kernels(CORE, "tmatvec_s8")}
        assert "tmatvec_s8__mve" in expected <= set(report.variants)
        assert all(cases > 1000 and failed == 0 for cases, failed in report.variants.values()), report.text


PLANTED = [
    ('"asr %[all], %[all], #6\\n"', '"asr %[all], %[all], #5\\n"', "differs from ref"),
    ("vdupq_n_u8(0x30)", "vdupq_n_u8(0x10)", "differs from ref"),
    ("(cols + 15) >> 4", "(cols + 31) >> 4", "differs from ref"),
    ("acc + rows;", "acc + rows + 1;", "outside acc"),
    ("k < steps; k++", "k + 1 < steps; k++", "differs from ref"),
    ('"mov %[a2], #0\\n"', '"mov %[a2], #16\\n"', "differs from ref"),
]


@pytest.mark.parametrize(("text", "bug", "message"), PLANTED, ids=[p[0][:24] for p in PLANTED])
def test_a_planted_bug_is_found(text: str, bug: str, message: str, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime_c"
    for folder in ("include", "kernels", "check"):
        shutil.copytree(RUNTIME / folder, runtime / folder)
    path = runtime / "kernels" / "tmatvec_s8" / "tmatvec_s8__mve.c"
    source = path.read_text()
    assert text in source
    path.write_text(source.replace(text, bug))
    report = start(build_tester(CORE, tmp_path, ["tmatvec_s8__mve"], runtime=runtime), tmp_path)
    assert report.exit == 1, report.text
    assert message in report.text


def test_products_equal_numpy(batch: Path) -> None:
    rng = np.random.default_rng(20260101)
    cases: list[Product | Requantisation] = []
    for n in range(1500):
        rows, cols = int(rng.integers(1, 41)), int(rng.integers(1, 200))
        keep = rng.random((rows, cols)) < rng.random()
        trits = (rng.integers(-1, 2, (rows, cols)) * keep).astype(np.int8)
        x = rng.integers(-128, 128, cols).astype(np.int8)
        if n % 4 == 0:
            x = rng.choice(np.array([-128, 127], np.int8), cols)
        cases.append(Product(trits, x, int(rng.integers(-128, 128))))
    run(batch, cases)


@settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(0, 2**32 - 1)), min_size=1, max_size=40
    )
)
def test_any_shape_equals_numpy(batch: Path, shapes: list[tuple[int, int, int]]) -> None:
    cases: list[Product | Requantisation] = []
    for rows, cols, seed in shapes:
        rng = np.random.default_rng(seed)
        trits = rng.integers(-1, 2, (rows, cols)).astype(np.int8)
        cases.append(Product(trits, rng.integers(-128, 128, cols).astype(np.int8)))
    run(batch, cases)


@pytest.mark.parametrize("cols", [131072, 131071])
def test_the_widest_matrix_reaches_the_bounds(batch: Path, cols: int) -> None:
    """Every way to fill four rows with -1 and +1 is the worst case of some accumulator for x = -128 or 127."""
    assert MASK4.limits(np.zeros((1, 131072), np.int8)) is None
    assert MASK4.limits(np.zeros((1, 131073), np.int8)) is not None
    cases: list[Product | Requantisation] = []
    for signs in [
        (1, 1, 1, 1),
        (-1, -1, -1, -1),
        (1, 1, 1, -1),
        (-1, -1, -1, 1),
        (1, -1, 1, -1),
        (0, 0, 0, 1),
    ]:
        trits = np.repeat(np.array(signs, np.int8)[:, None], cols, axis=1)
        cases += [Product(trits, np.full(cols, v, np.int8), v) for v in (-128, 127)]
    run(batch, cases)


def test_requantisation_equals_the_reference(batch: Path) -> None:
    rng = np.random.default_rng(5)
    cases: list[Product | Requantisation] = []
    for i in range(400):
        n = int(rng.integers(1, 40))
        pre = int(rng.integers(0, 9)) if i % 2 else 0
        limit = 2**15 << pre  # |t * mul + add| <= 2^15 * 2^15 + 2^29 < 2^31
        acc = rng.integers(-limit + (1 << pre), limit - (1 << pre), n).astype(np.int32)
        low = int(rng.integers(-128, 100))
        requant = Requant(
            pre_shift=pre,
            mul=rng.integers(-(2**15), 2**15, n).astype(np.int16),
            add=rng.integers(-(2**29), 2**29, n).astype(np.int32),
            shift=rng.integers(0, 31, n).astype(np.int16),
            qmin=-128 if i % 3 else low,
            qmax=127 if i % 3 else int(rng.integers(low, 128)),
        )
        cases.append(Requantisation(requant, acc))
    run(batch, cases)


@pytest.mark.parametrize("chain", ["zig", "gcc"])
def test_both_compilers_take_the_kernel_without_a_warning(chain: str, tmp_path: Path) -> None:
    core = load_core(CORE)
    source = RUNTIME / "kernels" / "tmatvec_s8" / "tmatvec_s8__mve.c"
    if chain == "zig":
        build(CORE, [source], tmp_path / "k.elf", "eb_tmatvec_s8__mve")
        return
    gcc = shutil.which(f"{core.gcc['prefix']}gcc")
    if gcc is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    command = [gcc, *core.gcc["flags"], "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion"]
    command += ["-I", str(RUNTIME / "include"), "-I", str(RUNTIME / "kernels"), "-c", str(source)]
    done = subprocess.run([*command, "-o", str(tmp_path / "k.o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
