"""The kernel tester: all variants pass on every core, and it finds the bugs planted here."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from check_runner import Machine, build_tester, kernels, kernels_under_test, planted, run_tester

from edgebit.layouts.base import layout_of

EMULATED = ("cortex-m0plus", "cortex-m4f", "cortex-a76")
FAST = {"cortex-m0plus": "armv6m", "cortex-m4f": "armv7em", "cortex-a76": "neon_dotprod"}


CORES = ("host", *EMULATED, "cortex-a72", "cortex-a7", "cortex-m3", "cortex-m7", "cortex-m33")
SEEDS = range(1, 6) if os.environ.get("EDGEBIT_ALL_TESTS") else range(1, 2)
CASES = 800  # at least, a variant and seed


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("core", CORES)
def test_every_variant_agrees_with_its_reference(core: str, seed: int, tmp_path: Path) -> None:
    report = run_tester(core, tmp_path, ["--seed", str(seed)])
    expected = {k.symbol.removeprefix("eb_") for k in kernels_under_test(core)}
    assert report.exit == 0, report.text
    assert set(report.variants) == expected
    assert all(cases > CASES and failed == 0 for cases, failed in report.variants.values()), report.text


def test_these_are_tens_of_thousands_of_random_layers() -> None:
    """On those of CORES that the shorter suite looks at, too."""
    looked_at = ("host", *EMULATED)
    assert CASES * len(SEEDS) * sum(len(kernels_under_test(core)) for core in looked_at) >= 20_000


@pytest.mark.parametrize(
    ("core", "cols"), [("cortex-m0plus", 65536), ("cortex-m4f", 32768), ("cortex-a76", 131072)]
)
def test_the_widest_legal_matrix(core: str, cols: int, tmp_path: Path) -> None:
    args = ["--seed", "5", f"tmatvec_s8__{FAST[core]}"]
    report = run_tester(core, tmp_path, args, [f"-DEB_CHECK_MAX_COLS={cols}"])
    assert report.exit == 0, report.text
    assert list(report.variants) == [f"tmatvec_s8__{FAST[core]}"]
    assert "seed 5" in report.text


@pytest.mark.parametrize(
    ("core", "program", "cpu"),
    [("cortex-a76", "qemu-aarch64", "max"), ("cortex-a7", "qemu-arm", "cortex-a7")],
)
def test_another_emulator_agrees_on_linux(core: str, program: str, cpu: str, tmp_path: Path) -> None:
    qemu = shutil.which(program)
    if qemu is None:
        pytest.skip(f"{program} is not installed")
    elf = build_tester(core, tmp_path)
    done = subprocess.run([qemu, "-cpu", cpu, str(elf)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert f"{len(kernels_under_test(core))} variants, all ok" in done.stdout


@pytest.mark.parametrize(("core", "machine"), [("cortex-m4f", "mps2-an386"), ("cortex-m0plus", "mps2-an385")])
def test_another_emulator_agrees_cortex_m(core: str, machine: str, tmp_path: Path) -> None:
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    elf = build_tester(core, tmp_path)
    options = ["-display", "none", "-monitor", "none", "-serial", "null"]
    options += ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(
        [qemu, "-M", machine, *options, "-kernel", str(elf)],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(kernels(core, 'tmatvec_s8'))} variants, all ok" in done.stdout + done.stderr


def test_list_names_and_bad_arguments(tmp_path: Path) -> None:
    report = run_tester("cortex-m4f", tmp_path, ["--list"])
    assert report.exit == 0
    assert "tmatvec_s8__armv7em smlad2\n" in report.text
    assert "tmatvec_s8__ref t2\n" in report.text
    assert run_tester("cortex-m4f", tmp_path, ["tmatvec_s8__armv6m"]).exit == 2
    assert run_tester("host", tmp_path, ["--nonsense"]).exit == 2


def test_bench_prints_counts_where_there_is_a_counter(tmp_path: Path) -> None:
    none = run_tester("cortex-m4f", tmp_path, ["--bench", "tmatvec_s8__armv7em"])
    assert "tmatvec_s8__armv7em: 16 rows, 512 columns: no counter here" in none.text
    counted = run_tester("cortex-m4f", tmp_path, ["--bench"], prepare=Machine.count_instructions)
    ticks = {
        line.split(":")[0]: int(line.split()[-2])
        for line in counted.text.splitlines()
        if line.endswith(" ticks")
    }
    assert set(ticks) == {"tmatvec_s8__armv7em", "tmatvec_s8__armv7em_list8", "tmatvec_s8__ref"}
    assert 16 * 512 // 2 < ticks["tmatvec_s8__armv7em"] < 16 * 512  # 4 MACs in 2 instructions, and the rest
    assert ticks["tmatvec_s8__ref"] > 5 * ticks["tmatvec_s8__armv7em"]


PLANTED = [
    # core, file below runtime_c, text, its replacement, what the tester must say
    (
        "cortex-m0plus",
        "kernels/tmatvec_s8/tmatvec_s8__armv6m.c",
        "adds r0, #164",
        "adds r0, #162",
        "differs from ref",
    ),
    (
        "cortex-m0plus",
        "kernels/tmatvec_s8/tmatvec_s8__armv6m.c",
        "LUT4_BIAS = 512",
        "LUT4_BIAS = 511",
        "differs",
    ),
    (
        "cortex-m0plus",
        "kernels/tmatvec_s8/tmatvec_s8__armv6m.c",
        "r < blocks * 8;",
        "r <= blocks * 8;",
        "outside acc",
    ),
    (
        "cortex-m0plus",
        "kernels/tmatvec_s8/tmatvec_s8__armv6m.c",
        "LUT4_TILE = 32",
        "LUT4_TILE = 33",
        "outside scratch",
    ),
    (
        "cortex-m4f",
        "kernels/tmatvec_s8/tmatvec_s8__armv7em.c",
        "movw lr, #0xC003",
        "movw lr, #0x8003",
        "differs",
    ),
    ("cortex-m4f", "kernels/tmatvec_s8/tmatvec_s8__armv7em.c", "i < 8; i++", "i < 9; i++", "outside acc"),
    (
        "cortex-m4f",
        "kernels/tmatvec_s8/tmatvec_s8__armv7em.c",
        "(cols + 15)",
        "(cols + 63)",
        "outside scratch",
    ),
    ("cortex-m4f", "check/pack.c", "i < 4 ? 63 : 1023", "i < 4 ? 64 : 1023", "differs from ref"),
    ("cortex-a76", "kernels/tmatvec_s8/tmatvec_s8__neon_dotprod.c", "(0x3F)", "(0x1F)", "differs from ref"),
    (
        "cortex-a76",
        "kernels/tmatvec_s8/tmatvec_s8__neon_dotprod.c",
        "acc + 12,",
        "acc + 13,",
        "outside acc",
    ),
]


@pytest.mark.parametrize(("core", "file", "text", "bug", "message"), PLANTED, ids=lambda v: str(v)[-24:])
def test_a_planted_bug_is_found(
    core: str, file: str, text: str, bug: str, message: str, tmp_path: Path
) -> None:
    runtime = planted(tmp_path, file, text, bug)
    report = run_tester(core, tmp_path, runtime=runtime)
    assert report.exit == 1, report.text
    assert report.variants[f"tmatvec_s8__{FAST[core]}"][1] > 0
    assert report.variants["tmatvec_s8__ref"][1] == 0
    assert f"  {FAST[core]}: " in report.text
    assert message in report.text


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine("cortex-m4f", build_tester("cortex-m4f", tmp_path_factory.mktemp("tester")))


@pytest.mark.parametrize(
    "name", ["t2", "lut4", "smlad2", "e2", "list8", "list16", "ofs16g3", "ofs16g4", "ofs16g5"]
)
def test_the_tester_packs_as_the_exporter_does(name: str, tester: Machine) -> None:
    layout = layout_of(name)
    rng = np.random.default_rng(11)
    for _ in range(25):
        tester.reset()
        rows, cols = int(rng.integers(1, 41)), int(rng.integers(1, 300))
        trits = rng.integers(-1, 2, (rows, cols)).astype(np.int8) * (rng.random((rows, cols)) < rng.random())
        want = layout.pack(trits.astype(np.int8))
        entry = tester.call("eb_check_find_layout", tester.place(name.encode() + b"\0"))
        _, row_multiple, max_cols, pack, scratch = struct.unpack("<5I", tester.read(entry, 20))
        out = tester.place(bytes(len(want) + 64))
        source = tester.place(trits.astype(np.int8).tobytes())
        assert tester.call(pack & ~1, source, rows, cols, out) == len(want)
        assert tester.read(out, len(want)) == want
        assert tester.read(out + len(want), 64) == bytes(64)
        assert row_multiple == layout.row_multiple
        if name not in ("t2", "list8", "list16"):  # no limit worth trying
            assert layout.limits(np.zeros((1, max_cols), np.int8)) is None
            assert layout.limits(np.zeros((1, max_cols + 1), np.int8)) is not None
        stem = next(k.path.stem for c in EMULATED for k in kernels(c, "tmatvec_s8") if k.layout == name)
        assert tester.call(scratch & ~1, rows, cols) == layout.scratch(stem, rows, cols)
