"""Times our ternary products on this machine against ggml's, turn by turn in one process.

    python tests/tools/bench_peers.py [--json] [--env DIR] [--rounds N] [--copies N]

ggml comes as part of llama-cpp-python, which is built from source into an environment of its own the first time
(some minutes); none of it is part of EdgeBit. Both sides multiply a matrix by one vector that is quantised already,
on one thread: "cache" one 640 x 2560 matrix, "memory" many of 6912 x 2560, one after the other. A ratio is the
peer's processor time over ours in the same round; printed are the median and the quartiles over all rounds.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebit.core import load_core
from edgebit.layouts.base import layout_of, round_up
from edgebit.plan.kernels import Kernel, kernels_for
from edgebit.resources import cache_dir, data_dir

PEERS = ("tq2_0", "tq1_0", "q4_0", "q8_0")
PACKAGE = "llama-cpp-python"
COLS, SMALL, LARGE = 2560, 640, 6912
SLICE_S = 0.002
TOLERANCE = {"tq2_0": 0.03, "tq1_0": 0.03, "q4_0": 0.2, "q8_0": 0.03}
"""Of the largest sum: a peer rounds what it is given to its own format. Q4_0 has seven steps on one side of zero and
eight on the other, so that it cannot hold both -1 and +1 of a block."""

Bytes = npt.NDArray[np.uint8]
Run = Callable[[int], None]


class Traits(ctypes.Structure):
    """What ggml_get_type_traits_cpu returns (ggml-cpu.h)."""

    _fields_ = (
        ("from_float", ctypes.c_void_p),
        ("vec_dot", ctypes.c_void_p),
        ("vec_dot_type", ctypes.c_int),
        ("nrows", ctypes.c_int64),
    )


def aligned(size: int) -> Bytes:
    """`size` bytes that start at a multiple of 64."""
    block = np.empty(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + size]


def filled(raw: bytes | Bytes, copies: int = 1) -> Bytes:
    """The bytes, `copies` times in a row, each at a multiple of 64."""
    data = np.frombuffer(raw, np.uint8) if isinstance(raw, bytes) else raw
    step = round_up(data.size, 64)
    out = aligned(step * copies)
    for k in range(copies):
        out[k * step : k * step + data.size] = data
    return out


def environment(folder: Path) -> Path:
    """The environment with the peer's package, made when it is not there; the folder of its libraries."""
    found = sorted(folder.glob("lib*/python*/site-packages/llama_cpp/lib"))
    if not found:
        print(f"building {PACKAGE} into {folder} (some minutes) ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=folder.exists())
        flags = "-DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF"
        done = subprocess.run(
            ["nice", str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGE],
            env={**os.environ, "CMAKE_ARGS": flags, "CMAKE_BUILD_PARALLEL_LEVEL": "1"},
            capture_output=True,
            text=True,
        )
        found = sorted(folder.glob("lib*/python*/site-packages/llama_cpp/lib"))
        if done.returncode or not found:
            raise SystemExit(f"{PACKAGE} could not be installed into {folder}:\n{done.stderr[-2000:]}")
    return found[0]


class Ggml:
    """The peer's library: formats by name, quantisation, dot products."""

    def __init__(self, folder: Path) -> None:
        mode = ctypes.RTLD_GLOBAL
        cpu = sorted(folder.glob("libggml-cpu*.so"))
        if not cpu or not (folder / "libggml-base.so").exists():
            raise SystemExit(
                f"{folder} holds no libggml-base.so and libggml-cpu*.so: another version of {PACKAGE}?"
            )
        self._base = ctypes.CDLL(str(folder / "libggml-base.so"), mode)
        self._cpu = ctypes.CDLL(str(cpu[0]), mode)
        self._cpu.ggml_cpu_init()
        self._base.ggml_type_name.restype = ctypes.c_char_p
        self._base.ggml_row_size.restype = ctypes.c_size_t
        self._base.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
        self._cpu.ggml_get_type_traits_cpu.restype = ctypes.POINTER(Traits)
        self._base.ggml_quantize_chunk.restype = ctypes.c_size_t
        names = [self._base.ggml_type_name(k) for k in range(39)]
        self._types = {n.decode().lower(): k for k, n in enumerate(names) if n}

    def row_bytes(self, kind: int) -> int:
        return int(self._base.ggml_row_size(kind, COLS))

    def weights(self, name: str, w: npt.NDArray[np.float32]) -> tuple[Bytes, Traits, int]:
        """A matrix in the format, its dot product, and the bytes of a row."""
        kind = self._types[name]
        out = aligned(self.row_bytes(kind) * len(w))
        self._base.ggml_quantize_chunk(
            ctypes.c_int(kind),
            ctypes.c_void_p(w.ctypes.data),
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int64(0),
            ctypes.c_int64(len(w)),
            ctypes.c_int64(COLS),
            ctypes.c_void_p(None),
        )
        return out, self._cpu.ggml_get_type_traits_cpu(kind).contents, self.row_bytes(kind)

    def rows(self, name: str, w: npt.NDArray[np.float32]) -> tuple[int, bytes]:
        """Rows of any width in a format: its number and the bytes."""
        kind, w = self._types[name], np.ascontiguousarray(w, np.float32)
        out = aligned(int(self._base.ggml_row_size(kind, w.shape[1])) * len(w))
        self._base.ggml_quantize_chunk(
            ctypes.c_int(kind),
            ctypes.c_void_p(w.ctypes.data),
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int64(0),
            ctypes.c_int64(len(w)),
            ctypes.c_int64(w.shape[1]),
            ctypes.c_void_p(None),
        )
        return kind, out.tobytes()

    def inputs(self, traits: Traits, x: npt.NDArray[np.float32]) -> Bytes:
        """A vector in the format that the dot product wants."""
        kind = int(traits.vec_dot_type)
        out = aligned(self.row_bytes(kind))
        address = self._cpu.ggml_get_type_traits_cpu(kind).contents.from_float
        convert = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)
        convert(x.ctypes.data, out.ctypes.data, COLS)
        return out


def compiled(folder: Path, mine: Sequence[Kernel]) -> ctypes.CDLL:
    """Our kernels and the loop over the peer's rows, as one library."""
    root = data_dir("runtime_c")
    sources = [str(k.path) for k in mine] + [str(Path(__file__).with_name("bench_peers.c"))]
    command = ["-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    command += [f"-I{root / 'include'}", f"-I{root / 'kernels'}", "-o", str(folder / "ours.so"), *sources]
    compiler = [os.environ["CC"]] if os.environ.get("CC") else ["gcc"]
    done = subprocess.run([*compiler, *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{compiler[0]} failed:\n{done.stderr[-2000:]}")
    return ctypes.CDLL(str(folder / "ours.so"))


def check(name: str, got: npt.NDArray[Any], want: npt.NDArray[np.float64]) -> None:
    """A program that computes something else is not worth timing."""
    error = float(np.abs(got - want).max() / np.abs(want).max())
    if error > TOLERANCE[name]:
        raise SystemExit(f"{name} computes another product: {error:.1%} off")


class Bench:
    """Products of one matrix (several copies of it) by every kernel and format."""

    def __init__(
        self, rows: int, copies: int, ggml: Ggml, library: ctypes.CDLL, mine: Sequence[Kernel]
    ) -> None:
        rng = np.random.default_rng(20260101)
        self.macs = rows * COLS * copies
        trits = rng.integers(-1, 2, (rows, COLS)).astype(np.int8)
        x = rng.integers(-127, 128, COLS).astype(np.int8)
        x[::256] = 127  # every block of a peer's format has the same largest magnitude
        want = trits.astype(np.float64) @ x.astype(np.float64)
        self.runs: dict[str, Run] = {}
        self._keep: list[Any] = []
        for k in mine:
            self.runs[k.stem] = self._ours(k, library, trits, x, copies, want)
        for name in PEERS:
            self.runs[name] = self._peer(name, ggml, library, trits, x, copies, want)

    def _ours(
        self, k: Kernel, library: ctypes.CDLL, trits: Any, x: Any, copies: int, want: npt.NDArray[np.float64]
    ) -> Run:
        layout, rows = layout_of(k.layout), len(trits)
        raw = layout.pack(trits)
        w, step = filled(raw, copies), round_up(len(raw), 64)
        xs, acc = filled(x.view(np.uint8)), aligned(4 * round_up(rows, layout.row_multiple))
        scratch = aligned(layout.scratch(k.stem, rows, COLS) + 64)
        function = getattr(library, f"eb_{k.stem}")
        p, i = ctypes.c_void_p, ctypes.c_int32
        rest = (p(xs.ctypes.data), p(acc.ctypes.data), i(rows), i(COLS), p(scratch.ctypes.data))
        calls = [(p(w.ctypes.data + c * step), *rest) for c in range(copies)]
        self._keep.append((w, xs, acc, scratch))

        def run(times: int) -> None:
            for _ in range(times):
                for c in calls:
                    function(*c)

        run(1)
        if not np.array_equal(acc.view(np.int32)[:rows], want):
            raise SystemExit(f"{k.stem} is wrong")
        return run

    def _peer(
        self,
        name: str,
        ggml: Ggml,
        library: ctypes.CDLL,
        trits: Any,
        x: Any,
        copies: int,
        want: npt.NDArray[np.float64],
    ) -> Run:
        raw, traits, row_bytes = ggml.weights(name, trits.astype(np.float32))
        w, step = filled(raw, copies), round_up(raw.size, 64)
        xs, y = ggml.inputs(traits, x.astype(np.float32)), np.zeros(len(trits), np.float32)
        function, p, i = library.peer_product, ctypes.c_void_p, ctypes.c_int
        first = (p(traits.vec_dot), i(COLS), i(len(trits)))
        rest = (ctypes.c_size_t(row_bytes), p(xs.ctypes.data), p(y.ctypes.data))
        calls = [(*first, p(w.ctypes.data + c * step), *rest) for c in range(copies)]
        self._keep.append((w, xs, y))

        def run(times: int) -> None:
            for _ in range(times):
                for c in calls:
                    function(*c)

        run(1)
        check(name, y, want)
        return run

    def seconds(self, rounds: int) -> dict[str, list[float]]:
        """Seconds of one pass by each, one entry a round; they take turns."""
        times = {}
        for name, run in self.runs.items():
            start = time.thread_time()
            run(1)
            times[name] = max(1, int(SLICE_S / max(time.thread_time() - start, 1e-7)))
        found: dict[str, list[float]] = {name: [] for name in self.runs}
        for _ in range(rounds):
            for name, run in self.runs.items():
                start = time.thread_time()
                run(times[name])
                found[name].append((time.thread_time() - start) / times[name])
        return found


def compare(place: str, bench: Bench, mine: Sequence[Kernel], rounds: int) -> list[dict[str, Any]]:
    """The ratios of every kernel of ours to every format of the peer."""
    took = bench.seconds(rounds)
    rows = []
    for k in mine:
        for name in PEERS:
            ratios = [p / o for p, o in zip(took[name], took[k.stem], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            rows.append(
                {
                    "where": place,
                    "ours": k.stem,
                    "bits_per_weight": round(layout_of(k.layout).bits_per_weight(LARGE, COLS), 3),
                    "peer": name,
                    "ratio": round(middle, 3),
                    "quartiles": [round(low, 3), round(high, 3)],
                    "ours_gmacs": round(bench.macs / statistics.median(took[k.stem]) / 1e9, 1),
                    "peer_gmacs": round(bench.macs / statistics.median(took[name]) / 1e9, 1),
                }
            )
    return rows


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--env", type=Path, default=cache_dir() / "peers", help="the peer's environment")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument(
        "--copies", type=int, default=40, help="matrices of the run from memory; 0 leaves it out"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 2 or options.copies < 0:
        parser.error("at least 2 rounds, and no negative number of copies")
    mine = [k for k in kernels_for("tmatvec_s8", load_core("host")) if k.isa != "ref"]
    if not mine:
        raise SystemExit("this processor has none of the instruction sets our vector kernels are for")
    ggml = Ggml(environment(options.env))
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder), mine)
        rows = compare("cache", Bench(SMALL, 1, ggml, library, mine), mine, options.rounds)
        if options.copies:
            bench = Bench(LARGE, options.copies, ggml, library, mine)
            rows += compare("memory", bench, mine, min(options.rounds, 9))
    if options.json:
        print(
            json.dumps(
                {"metric": "processor time of one thread, ratio in one process", "rows": rows}, indent=1
            )
        )
        return 0
    print(
        f"{'where':7} {'ours':28} {'bits':>5} {'peer':6} {'ratio':>6} {'quartiles':>14}   GMAC/s ours, peer"
    )
    for r in rows:
        low, high = r["quartiles"]
        print(
            f"{r['where']:7} {r['ours']:28} {r['bits_per_weight']:5.2f} {r['peer']:6} {r['ratio']:5.2f}x "
            f"{low:6.2f} ..{high:5.2f}   {r['ours_gmacs']:6.1f} {r['peer_gmacs']:6.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
