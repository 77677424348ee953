"""The Helium kernels in QEMU: the kernel tester, NumPy, the bounds of the accumulators, planted bugs."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Report, build, build_tester, kernels, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.core import load_core
from edgebit.ir.graph import Requant
from edgebit.layouts.base import layout_of, round_up
from edgebit.ops.requant import requantise

CORE = "cortex-m55"
DIGITS4, DIGITS7 = layout_of("digits4"), layout_of("digits7")
VLUT3 = layout_of("vlut3")
GUARD = b"\x5a" * 16
WIDEST_SEVENS = 16368  # columns of 28 rows that helium_batch.c has room for
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
    """One matrix and one input; the bytes past cols hold `past`. sevens: by the kernel of layout digits7."""

    trits: Bytes
    x: Bytes
    past: int = 77
    sevens: bool = False

    def request(self) -> bytes:
        rows, cols = self.trits.shape
        packed = (DIGITS7 if self.sevens else DIGITS4).pack(self.trits)
        x = np.full(round_up(cols, 16), self.past, np.int8)
        x[:cols] = self.x
        return struct.pack("<4i", 3 if self.sevens else 0, rows, cols, len(packed)) + packed + x.tobytes()

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


@dataclass(frozen=True)
class Points:
    """A layer of points: (rows, cols) trits, (pixels, cols) inputs. sevens: by the kernel of layout digits7."""

    trits: Bytes
    x: Bytes
    requant: Requant
    sevens: bool = False

    def request(self) -> bytes:
        rows, cols = self.trits.shape
        layout = DIGITS7 if self.sevens else VLUT3
        packed = layout.pack(self.trits)
        r = self.requant
        entries = np.zeros(rows, [("add", "<i4"), ("mul", "<i2"), ("shift", "<i2")])
        entries["add"], entries["mul"], entries["shift"] = r.add, r.mul, r.shift
        sizes = (len(packed), layout.scratch("tpoints_s8__mve_digits7", rows, cols))
        head = struct.pack("<8i", 4 if self.sevens else 2, rows, cols, len(self.x), *sizes, r.qmin, r.qmax)
        return head + packed + entries.tobytes() + self.x.tobytes()

    def check(self, raw: bytes) -> int:
        acc = (self.x.astype(np.int64) @ self.trits.T).astype(np.int32)
        want = requantise(acc, self.requant)
        n = want.size
        assert raw[:16] == raw[16 + n : 32 + n] == GUARD, f"wrote outside y: {self.trits.shape}"
        assert raw[32 + n] == 1, f"wrote behind scratch: {self.trits.shape}"
        assert np.array_equal(np.frombuffer(raw, np.int8, n, 16), want.reshape(-1)), (
            self.trits.shape,
            len(self.x),
        )
        return 33 + n


Case: TypeAlias = Product | Requantisation | Points


def build_batch(folder: Path, runtime: Path = RUNTIME) -> Path:
    stems = ("tmatvec_s8__mve", "tmatvec_s8__mve_digits7", "tpoints_s8__mve_vlut3", "tpoints_s8__mve_digits7")
    sources = [Path(__file__).with_name("helium_batch.c"), runtime / "check" / "port_cortex_m.c"]
    sources += [runtime / "kernels" / stem.split("__")[0] / f"{stem}.c" for stem in stems]
    return build(CORE, sources, folder / "batch.elf", "eb_start", ["-DEB_CHECK"], runtime)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_batch(tmp_path_factory.mktemp("batch"))


def run(batch: Path, cases: list[Case]) -> None:
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
        expected = {
            k.symbol.removeprefix("eb_") for f in ("tmatvec_s8", "tmatmat_s8") for k in kernels(CORE, f)
        }
        assert {"tmatvec_s8__mve", "tmatvec_s8__mve_digits7", "tmatmat_s8__mve"} <= expected
        assert expected <= set(report.variants)
        assert all(cases > 600 and failed == 0 for cases, failed in report.variants.values()), report.text


FOURS, SEVENS = "tmatvec_s8__mve", "tmatvec_s8__mve_digits7"
PLANTED = [
    ("digits4-shift", FOURS, "digits_mve.h", "vrshr.s8 q3, q0, #4", "vrshr.s8 q3, q0, #5", "differs"),
    ("digits4-round", FOURS, "digits_mve.h", "vrshr.s8 q2, q0, #6", "vshr.s8 q2, q0, #6", "differs"),
    ("digits4-sums", FOURS, "digits_mve.h", "sub r2, r2, r4, lsl #2", "sub r2, r2, r4, lsl #1", "differs"),
    ("digits4-steps", FOURS, f"{FOURS}.c", "asr r9, r9, #4", "asr r9, r9, #5", "differs from ref"),
    ("digits4-rows", FOURS, f"{FOURS}.c", "adds r3, #3", "adds r3, #7", "outside acc"),
    ("digits7-first", SEVENS, "digits7_mve.h", 'STEP("", "q5")', 'STEP("a", "q5")', "differs from ref"),
    ("digits7-store", SEVENS, "digits7_mve.h", "str r12, [r7, #-4]", "str r10, [r7, #-4]", "differs"),
    ("digits7-fours", SEVENS, "digits7_mve.h", "subs r1, #16", "subs r1, #32", "differs"),
    ("tokens-second", "tmatmat_s8__mve", "tmatmat_s8__mve.c", "t + i < tokens ? t + i : t;", "t + i;", "acc"),
    (
        "tokens-zero",
        "tmatmat_s8__mve",
        "tmatmat_s8__mve.c",
        "mov r9, r0\\n movs r4, #0",
        "mov r9, r0\\n movs r4, #1",
        "differs",
    ),
]


@pytest.mark.parametrize(
    ("variant", "file", "text", "bug", "message"), [p[1:] for p in PLANTED], ids=[p[0] for p in PLANTED]
)
def test_a_planted_bug_is_found(
    variant: str, file: str, text: str, bug: str, message: str, tmp_path: Path
) -> None:
    runtime = planted(tmp_path, file, text, bug)
    report = start(build_tester(CORE, tmp_path, [variant], runtime=runtime), tmp_path)
    assert report.exit == 1, report.text
    assert message in report.text


def test_products_equal_numpy(batch: Path) -> None:
    rng = np.random.default_rng(20260101)
    cases: list[Case] = []
    for n in range(1500):
        rows, cols = int(rng.integers(1, 61)), int(rng.integers(1, 200))
        keep = rng.random((rows, cols)) < rng.random()
        trits = (rng.integers(-1, 2, (rows, cols)) * keep).astype(np.int8)
        x = rng.integers(-128, 128, cols).astype(np.int8)
        if n % 4 == 0:
            x = rng.choice(np.array([-128, 127], np.int8), cols)
        cases.append(Product(trits, x, int(rng.integers(-128, 128)), rows > 24 or n % 8 == 0))
    run(batch, cases)


@settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(0, 2**32 - 1)), min_size=1, max_size=40
    )
)
def test_any_shape_equals_numpy(batch: Path, shapes: list[tuple[int, int, int]]) -> None:
    cases: list[Case] = []
    for rows, cols, seed in shapes:
        rng = np.random.default_rng(seed)
        trits = rng.integers(-1, 2, (rows, cols)).astype(np.int8)
        cases.append(Product(trits, rng.integers(-128, 128, cols).astype(np.int8)))
    run(batch, cases)


@pytest.mark.parametrize("cols", [131072, 131071])
def test_the_widest_matrix_reaches_the_bounds(batch: Path, cols: int) -> None:
    """Every way to fill four rows with -1 and +1 is the worst case of some accumulator for x = -128 or 127."""
    assert DIGITS4.limits(np.zeros((1, 131072), np.int8)) is None
    assert DIGITS4.limits(np.zeros((1, 131073), np.int8)) is not None
    cases: list[Case] = []
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
        seven = np.tile(trits[[*range(4), 3, 2, 1], :WIDEST_SEVENS], (4, 1))
        x = np.full(seven.shape[1], -128, np.int8)
        cases += [Product(seven, x, sevens=True), Product(-seven, x, sevens=True)]
    run(batch, cases)


def test_requantisation_equals_the_reference(batch: Path) -> None:
    rng = np.random.default_rng(5)
    cases: list[Case] = []
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


def random_points(
    rng: np.random.Generator, rows: int, cols: int, pixels: int, sevens: bool = False
) -> Points:
    keep = rng.random((rows, cols)) < rng.random() * (1 if sevens else min(1, 250 / cols))
    trits = (rng.choice([-1, 1], (rows, cols)) * keep).astype(np.int8)
    low = int(rng.integers(-128, 100)) if rng.random() < 0.5 else -128
    requant = Requant(
        pre_shift=0,
        mul=rng.integers(-(2**15), 2**15, rows).astype(np.int16),
        add=rng.integers(-(2**29), 2**29, rows).astype(np.int32),
        shift=rng.integers(2, 31, rows).astype(np.int16),
        qmin=low,
        qmax=127 if low == -128 else int(rng.integers(low, 128)),
    )
    values = np.array([-128, 127], np.int8) if rng.random() < 0.3 else np.arange(-128, 128).astype(np.int8)
    return Points(trits, rng.choice(values, (pixels, cols)), requant, sevens)


def test_points_equal_numpy(batch: Path) -> None:
    """Whole tiles of pixels and all kinds of rests, one tile of columns and several, sums at their bounds."""
    rng = np.random.default_rng(11)
    shapes = [(4, 4, 1), (8, 12, 31), (4, 64, 32), (12, 72, 33), (4, 76, 64), (64, 64, 65), (8, 256, 29)]
    shapes += [(4 * int(r), 4 * int(c), int(p)) for r, c, p in rng.integers(1, (9, 40, 80), (60, 3))]
    cases: list[Case] = [random_points(rng, *s) for s in shapes]
    one = random_points(rng, 4, 252, 40)
    for sign in (-1, 1):
        for value in (-128, 127):
            full = np.full((4, 252), sign, np.int8)
            cases.append(Points(full, np.full((40, 252), value, np.int8), one.requant))
    run(batch, cases)


def points_in_sevens() -> list[Case]:
    """Rows with and without blocks of seven, of four and single ones, one pixel of any width and several of whole
    vectors, sums at their bounds."""
    rng = np.random.default_rng(12)
    shapes = [(rows, cols, 1) for rows in (1, 2, 3, 4, 7, 8, 25, 28, 31, 56, 61, 64) for cols in (1, 16, 50)]
    shapes += [(int(r), 16 * int(c), int(p)) for r, c, p in rng.integers(1, (70, 9, 9), (40, 3))]
    cases: list[Case] = [random_points(rng, *s, sevens=True) for s in shapes]
    one = random_points(rng, 32, 252, 1, sevens=True)
    for sign in (-1, 1):
        for value in (-128, 127):
            full = np.full((32, 252), sign, np.int8)
            cases.append(Points(full, np.full((1, 252), value, np.int8), one.requant, sevens=True))
    return cases


def test_points_in_sevens_equal_numpy(batch: Path) -> None:
    run(batch, points_in_sevens())


@pytest.mark.parametrize(
    ("text", "bug"),
    [
        ("movt r0, #0xFFFF", "movt r0, #0xFFFE"),
        ("ands r1, r1, #3", "ands r1, r1, #1"),
        ("bic r4, r4, #3", "bic r4, r4, #7"),
        ("movlt r2, r10", "movlt r2, r11"),
        ("sxth r12, r8", "uxth r12, r8"),
        ("str r3, [sp, #80]", "str r1, [sp, #80]"),
    ],
    ids=["signs", "rest", "fours", "low", "factor", "pixel"],
)
def test_a_planted_bug_in_points_is_found(text: str, bug: str, tmp_path: Path) -> None:
    elf = build_batch(tmp_path, planted(tmp_path, "tpoints_s8__mve_digits7.c", text, bug))
    with pytest.raises(AssertionError):
        run(elf, points_in_sevens())


def test_what_vlut3_refuses() -> None:
    assert VLUT3.limits(np.ones((4, 256), np.int8)) is not None
    assert VLUT3.limits(np.ones((4, 252), np.int8)) is None
    assert VLUT3.limits(np.zeros((6, 8), np.int8)) is not None
    assert VLUT3.limits(np.zeros((8, 6), np.int8)) is not None


@pytest.mark.parametrize("chain", ["zig", "gcc"])
def test_both_compilers_take_the_kernels_without_a_warning(chain: str, tmp_path: Path) -> None:
    core = load_core(CORE)
    sources = sorted((RUNTIME / "kernels").glob("*/*__mve*.c"))
    assert len(sources) >= 3
    if chain == "zig":
        build(CORE, sources, tmp_path / "k.elf", "eb_tmatvec_s8__mve")
        return
    gcc = shutil.which(f"{core.gcc['prefix']}gcc")
    if gcc is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    command = [gcc, *core.gcc["flags"], "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion"]
    command += ["-I", str(RUNTIME / "include"), "-I", str(RUNTIME / "kernels"), "-c", *map(str, sources)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
