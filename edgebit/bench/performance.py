"""docs/performance.md: measured figures beside those of other runtimes, written from docs/performance.json.

python -m edgebit.bench.performance docs                      write the page again from the stored figures
python -m edgebit.bench.performance docs --core cortex-m4f    measure that core first (may be repeated)
python -m edgebit.bench.performance docs --board nucleo-g0b1re  measure networks as that board's memories allow
python -m edgebit.bench.performance docs --all                measure every core
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import edgebit
from edgebit.bench.kernel_shapes import SHAPES
from edgebit.bench.kernels import measure_kernels
from edgebit.bench.peers import NETWORKS, PEERS, SOURCES
from edgebit.board import Board, load_board
from edgebit.core import list_cores, load_core
from edgebit.errors import EdgebitError
from edgebit.resources import write_atomically

DATA, PAGE = "performance.json", "performance.md"
ORDER = ("m0plus", "m3", "m4f", "m33", "m7", "m55", "a53", "a72", "a76", "host")

HEAD = """# Performance

What each kernel costs on fixed shapes, with everything included: packing or table build, product, bias,
requantisation, activation. Weights are random trits, half of them zero (of shapes named sparse as many per cent as the
name ends in); activations are static int8. Every row was compared with the NumPy reference byte for byte when it was
measured.

**Kinds of figures.** *Modelled cycles*: the instructions an emulated core executed, priced by the cycle table of its
technical reference manual (Cortex-M55: by LLVM's model of its pipeline), for memory without wait states; no silicon
was timed. *Instructions*: executed instructions of the emulated core. Both repeat exactly. *Wall clock, ratio to ref
in one run*: seconds of a kernel divided by those of the portable C kernels, both in one process, turn by turn, the
median of the turns; only the ratio means something.

**Method.** `edgebit bench --kernels --core CORE` prints a core's rows (`--json` for programs), and this page is
written by `python -m edgebit.bench.performance docs --core CORE`. The kernel marked * is the one
an export takes under `--optimize balanced`.

**Peers** are figures published or measured elsewhere, not by this command; their versions are at the end. On the
same kind of count they compare; a wall-clock figure of a real board does not compare with a modelled one to the last
per cent.
"""


def collect(core: str, board: Board | None = None) -> dict[str, Any]:
    """Measure all shapes on a core, or the networks on one board: what the page needs, and when it was made."""
    shapes = [s for s in SHAPES.values() if s.network or board is None]
    result = measure_kernels(core, shapes, board=board, say=lambda text: print(text, file=sys.stderr))
    wrong = [r.kernel for r in result.rows if not r.bit_exact]
    if wrong:
        raise EdgebitError(f"not bit-exact on {core}: {', '.join(wrong)}; nothing is written")
    return result.to_dict() | {
        "board": board.name if board else None,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "version": edgebit.__version__,
    }


def page(data: Mapping[str, Mapping[str, Any]]) -> str:
    """The page for measured cores and boards, by name; a board comes after its core."""
    names = sorted(data, key=lambda n: (_place(data[n]["core"]), n))
    parts = [HEAD, *(_core(data[n]) for n in names), _sources()]
    return "\n".join(parts)


def _place(core: str) -> int:
    key = core.removeprefix("cortex-")
    return ORDER.index(key) if key in ORDER else len(ORDER)


def _core(d: Mapping[str, Any]) -> str:
    core = str(d["core"])
    rows: Sequence[Mapping[str, Any]] = d["rows"]
    layers = [r for r in rows if not r["shape"].startswith("net-")]
    networks = [r for r in rows if r["shape"].startswith("net-")]
    title = load_core(core).title if core in list_cores() else core
    command = f"--core {core}"
    if d.get("board"):
        title += f" of the {load_board(d['board']).title}"
        command = f"--board {d['board']} --shape net"
    lines = [
        f"## {title}\n",
        f"`edgebit bench --kernels {command}` on {d['date']}, EdgeBit {d['version']}, {d['toolchain']}. "
        f"Run on: {d['machine']}.\n",
    ]
    if layers:
        kind = layers[0]["metric"]
        lines += [f"**Layers.** Kind: {kind}.\n", *_layers(core, layers), ""]
    for s in d["skipped"]:
        lines.append(
            f"Left out: {s['shape']} {s['kernel']}: {s['reason'].splitlines()[0]}.\n".replace(" :", ":")
        )
    if networks:
        lines += [f"**Networks.** Kind: {networks[0]['metric']}.\n", *_networks(core, networks), ""]
    return "\n".join(lines)


def _layers(core: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    out = [
        "| shape | kernel | layout | value | predicted | bits/weight | scratch B | peers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    last = ""
    order = list(dict.fromkeys(r["shape"] for r in rows))
    for r in sorted(rows, key=lambda r: (order.index(r["shape"]), r["value"])):
        shape = r["shape"]
        peers = "; ".join(PEERS.get(core, {}).get(_family(shape), ())) if shape != last else ""
        predicted = "" if r["predicted"] is None else _figure(r["predicted"])
        out.append(
            f"| {shape if shape != last else ''} | {'* ' if r['chosen'] else ''}{r['kernel']} | {r['layout']} "
            f"| {_figure(r['value'])} | {predicted} | {r['bits_per_weight']:.2f} | {r['scratch_bytes']:,} | {peers} |"
        )
        last = shape
    return out


def _family(shape: str) -> str:
    """The shape that peers give figures for: convolutions without the number of pixels."""
    return shape.rsplit("-", 1)[0] if shape.startswith("conv") else shape


def _networks(core: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    published = NETWORKS.get(core, {})
    out = [
        "| network | kernels | value | predicted | weights and constants B |"
        + (" published int8, cycles |" if published else ""),
        "|---|---|---|---|---|" + ("---|" if published else ""),
    ]
    last = ""
    for r in rows:
        shape = r["shape"]
        peer = published.get(shape.split("-")[1], "") if shape != last else ""
        predicted = "" if r["predicted"] is None else _figure(r["predicted"])
        out.append(
            f"| {shape if shape != last else ''} | {'* ' if r['chosen'] else ''}{r['kernel']} "
            f"| {_figure(r['value'])} | {predicted} | {r['weight_bytes']:,} |"
            + (f" {peer} |" if published else "")
        )
        last = shape
    return out


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4f}" if value < 0.1 else f"{value:.3f}"


def _sources() -> str:
    lines = [
        "## Networks\n",
        "Shapes of MLPerf Tiny v1 with random ternary weights (`python -m examples.mlperf_tiny`); no accuracy is "
        "claimed. net-kws, net-ic and net-vww have int8 weights in the layer that sees the raw input; net-ad is "
        "ternary throughout, since its first layer is a third of it. The other choice is measured as well. Input is "
        "int8; the softmax of the classifiers is included.\n",
        "## Peers\n",
        *(f"- {s}" for s in SOURCES),
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m edgebit.bench.performance", description=PAGE)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--core", action="append", default=[], help="measure this core")
    parser.add_argument("--board", action="append", default=[], help="measure networks on this board")
    parser.add_argument("--all", action="store_true", help="measure every core")
    args = parser.parse_args(arguments)
    path = args.folder / DATA
    data = json.loads(path.read_text()) if path.is_file() else {}
    measured: list[tuple[str, Board | None]] = [(c, None) for c in (list_cores() if args.all else args.core)]
    measured += [(b, load_board(b)) for b in args.board]
    for name, board in measured:
        data[name] = collect(board.core.name if board else name, board)
        write_atomically(path, json.dumps(data, indent=1, sort_keys=True) + "\n")
    write_atomically(args.folder / PAGE, page(data))


if __name__ == "__main__":
    main()
