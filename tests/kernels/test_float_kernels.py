"""Vector kernels of ternary x binary32 products: all bits as NumPy's, on emulated cores and on this machine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from check_runner import RUNTIME, Kernel, Machine, build, kernels, planted, run_tester
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.errors import EdgebitError
from edgebit.layouts.base import layout_of, round_up
from edgebit.ops.linear import lane_sums

F32 = npt.NDArray[np.float32]
S8 = npt.NDArray[np.int8]
CORES = ("cortex-a72", "cortex-a76", "host")
FAMILY = "tmatvec_f32"
QUICK = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
Product = Callable[[S8, F32], F32]


def emulated(core: str, kernel: Kernel, out: Path) -> tuple[Machine, Product]:
    """The kernel in an emulated core, with guards round what it writes."""
    machine = Machine(core, build(core, [kernel.path], out / f"{core}-{kernel.variant}.elf", kernel.symbol))
    layout, guard = layout_of(kernel.layout), bytes(range(160, 224))

    def product(trits: S8, x: F32) -> F32:
        rows, cols = trits.shape
        machine.reset()
        w, xs = machine.place(layout.pack(trits)), machine.place(past_the_end(x).tobytes())
        size = 4 * round_up(rows, layout.row_multiple)
        acc = machine.place(b"\x5a" * size, guard, guard)
        scratch = layout.scratch(kernel.path.stem, rows, cols)
        own = machine.place(bytes(scratch), guard, guard) if scratch else 0
        machine.call(kernel.symbol, w, xs, acc, rows, cols, own)
        assert machine.read(acc - 64, 64) == machine.read(acc + size, 64) == guard
        return np.frombuffer(machine.read(acc, size), np.float32)[:rows]

    return machine, product


def native(kernel: Kernel, library: ctypes.CDLL) -> Product:
    function, layout = getattr(library, kernel.symbol), layout_of(kernel.layout)

    def product(trits: S8, x: F32) -> F32:
        rows, cols = trits.shape
        acc = np.full(round_up(rows, layout.row_multiple), 7, np.float32)
        parts = [np.frombuffer(layout.pack(trits), np.uint8), past_the_end(x).view(np.uint8)]
        parts.append(np.zeros(layout.scratch(kernel.path.stem, rows, cols) + 16, np.uint8))
        w, xs, scratch = (aligned(p) for p in parts)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (w, xs, acc, scratch)]
        function(*pointers[:3], ctypes.c_int32(rows), ctypes.c_int32(cols), pointers[3])
        return acc[:rows]

    return product


def aligned(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A copy that starts at a multiple of 16 and at none of 32."""
    block = np.empty(data.size + 64, np.uint8)
    start = -block.ctypes.data % 32 + 16
    block[start : start + data.size] = data
    return block[start : start + data.size]


def past_the_end(x: F32) -> F32:
    """What a kernel may read: up to 8 elements more, and not numbers."""
    out = np.full(round_up(x.size, 8), np.nan, np.float32)
    out[: x.size] = x
    return out


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, Product]]]:
    """By core: the vector kernels of the family it can run."""
    from test_simd_kernels import library

    out = tmp_path_factory.mktemp("floats")
    found: dict[str, list[tuple[str, Product]]] = {}
    for core in CORES:
        mine = [k for k in kernels(core, FAMILY) if k.variant != "ref"]
        if core == "host":
            loaded = library(out, [k.path for k in mine]) if mine else None
            found[core] = [] if loaded is None else [(k.symbol, native(k, loaded)) for k in mine]
        else:
            found[core] = [(k.symbol, emulated(core, k, out)[1]) for k in mine]
    return found


@st.composite
def problems(draw: st.DrawFn) -> tuple[S8, F32]:
    """Trits, and inputs that are ordinary, of all sizes, subnormal, cancelling, or about to overflow."""
    rows, cols = draw(st.integers(1, 40)), draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    trits = rng.integers(-1, 2, (rows, cols)) * (rng.random((rows, cols)) < draw(st.sampled_from([0.1, 1.0])))
    kind = draw(st.sampled_from(["ordinary", "all", "subnormal", "one", "cancel", "large", "zeros"]))
    x = rng.standard_normal(cols).astype(np.float32)
    if kind == "all":
        exponents = rng.integers(0, 240, cols).astype(np.uint32) << 23
        x = (exponents | rng.integers(0, 2**23, cols).astype(np.uint32)).view(np.float32)
    elif kind == "subnormal":
        x = rng.integers(0, 2**24, cols).astype(np.uint32).view(np.float32)
    elif kind == "one":
        x[rng.integers(cols)] = np.float32(1e-45)
    elif kind == "cancel":
        x = (x * np.float32(2) ** rng.integers(-30, 30, cols)).astype(np.float32)
        x[1::2] = -x[::2][: x[1::2].size]
    elif kind == "large":
        x = rng.uniform(-3.4e38, 3.4e38, cols).astype(np.float32)
    elif kind == "zeros":
        x = np.copysign(np.float32(0), x)
    return trits.astype(np.int8), np.where(rng.random(cols) < 0.5, x, -x).astype(np.float32)


@pytest.mark.parametrize("core", CORES)
def test_all_bits_are_those_of_numpy(core: str, products: dict[str, list[tuple[str, Product]]]) -> None:
    if not products[core]:
        pytest.skip(f"no vector kernel of {FAMILY} for this machine")

    @QUICK
    @given(problems())
    def check(problem: tuple[S8, F32]) -> None:
        trits, x = problem
        want = lane_sums(x[None], trits)[0]
        for symbol, product in products[core]:
            got = product(trits, x)
            same = (got.view(np.uint32) == want.view(np.uint32)) | (np.isnan(got) & np.isnan(want))
            assert same.all(), (symbol, got[~same][:4], want[~same][:4])

    check()


@QUICK
@given(problems())
def test_the_layout_round_trips(problem: tuple[S8, F32]) -> None:
    trits, layout = problem[0], layout_of("t2r8")
    raw = layout.pack(trits)
    np.testing.assert_array_equal(layout.unpack(raw, *trits.shape), trits)
    assert layout.bits_per_weight(*trits.shape) == pytest.approx(8 * len(raw) / trits.size)
    with pytest.raises(EdgebitError):
        layout.unpack(raw[:-1], *trits.shape)
    with pytest.raises(EdgebitError, match="no trit"):
        layout.unpack(b"\x02" + raw[1:], *trits.shape)
    with pytest.raises(EdgebitError):
        layout.pack(np.full((2, 2), 2, np.int8))


@pytest.mark.parametrize(("value", "most"), [(1.0, 0.85), (1e-45, 1.1)])
def test_instructions_a_weight(value: float, most: float, tmp_path: Path) -> None:
    """Executed instructions of a 640 x 2560 product; inputs that cannot be halved take the longer way."""
    (kernel,) = (k for k in kernels("cortex-a76", FAMILY) if k.variant == "neon")
    machine, product = emulated("cortex-a76", kernel, tmp_path)
    machine.count_instructions()
    rng = np.random.default_rng(8)
    trits = rng.integers(-1, 2, (640, 2560)).astype(np.int8)
    x = np.full(2560, value, np.float32)
    np.testing.assert_array_equal(product(trits, x), lane_sums(x[None], trits)[0])
    assert machine.instructions is not None
    assert machine.instructions / trits.size < most


PLANTED = [
    ("cortex-a76", "neon", "exact &= half + half == x[k];", "(void)half;"),  # halves subnormals
    ("cortex-a76", "neon", "0xC0000000u", "0x80000000u"),
    ("cortex-a76", "neon", "vaddq_f32(a->l0, a->l4)", "vaddq_f32(a->l0, a->l2)"),
    ("host", "avx2", "(cols + T2R8_COLS - 1) & -T2R8_COLS", "(cols + 2 * T2R8_COLS - 1) & -T2R8_COLS"),
    (
        "host",
        "avx2",
        "_mm256_add_ps(s->l0, s->l4), _mm256_add_ps(s->l2, s->l6)",
        "_mm256_add_ps(s->l0, s->l2), _mm256_add_ps(s->l4, s->l6)",
    ),
]


@pytest.mark.parametrize(
    ("core", "variant", "text", "bug"), PLANTED, ids=[f"{p[1]}-{p[2][:16]}" for p in PLANTED]
)
def test_a_planted_bug_is_found(core: str, variant: str, text: str, bug: str, tmp_path: Path) -> None:
    if not any(k.variant == variant for k in kernels(core, FAMILY)):
        pytest.skip(f"this machine has no {variant}")
    files = (f"{FAMILY}__{variant}.c", f"t2r8_{variant}.h")
    (file,) = (f for f in files if text in (RUNTIME / "kernels" / FAMILY / f).read_text())
    runtime = planted(tmp_path, file, text, bug)
    report = run_tester(core, tmp_path, [FAMILY], ["-Wno-error"], runtime=runtime)
    assert report.exit == 1, report.text
    assert report.variants[f"{FAMILY}__{variant}"][1] > 0
    assert report.variants[f"{FAMILY}__ref"][1] == 0
