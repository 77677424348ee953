"""Compiles lowered ops with the host compiler and compares them byte for byte with their NumPy meaning.

    check_samples(samples)                        reference kernels, every op's samples() will do
    check_samples(samples, choose=my_choice)      other kernels
    random_samples("add", seed=1, count=50)       samples of one op from the registry

Many samples share one translation unit. Every tensor has its own heap block, rounded up to 16 bytes, with
garbage in the padding and in scratch, so that the sanitizers see any access outside. Each sample then runs
once more for every input the op says its output may overlap, with both in one block as tightly as the op
allows, and must still give the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from edgebit.ir.graph import Array, Graph, Node
from edgebit.ops.base import KernelChoice, Lowered, Sample, execute, infer_all, op_of, registry
from edgebit.resources import data_dir

WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-ffp-contract=off")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_HEADER = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "edgebit/eb_types.h"
static unsigned char *block(size_t n) {
    unsigned char *p = aligned_alloc(16, (n + 15) / 16 * 16 + (n == 0 ? 16 : 0));
    if (p == NULL) { abort(); }
    memset(p, 0xff, (n + 15) / 16 * 16);
    return p;
}
static void show(const void *p, size_t n) { if (fwrite(p, 1, n, stdout) != n) { abort(); } }
"""

Choose = Callable[[Node, Graph], KernelChoice | None]


@cache
def compiler() -> tuple[str, ...]:
    """The host C compiler: $CC, gcc, or the zig that is installed with the package."""
    if os.environ.get("CC"):
        return tuple(os.environ["CC"].split())
    if shutil.which("gcc"):
        return ("gcc",)
    return (sys.executable, "-m", "ziglang", "cc")


@cache
def sanitizers() -> tuple[str, ...]:
    """The sanitizer flags this compiler can link and run, or ()."""
    with tempfile.TemporaryDirectory() as d:
        source, program = Path(d, "t.c"), Path(d, "t")
        source.write_text("int main(void) { return 0; }\n")
        for flags in (SANITIZERS, ("-fsanitize=undefined", "-fno-sanitize-recover=all")):
            made = subprocess.run([*compiler(), *flags, source, "-o", program], capture_output=True)
            if made.returncode == 0 and subprocess.run([program], capture_output=True).returncode == 0:
                return flags
    return ()


@cache
def kernel_layout(stem: str) -> str:
    """The layout named on the EB_KERNEL line of a kernel file; "" when it packs no weights."""
    family = stem.split("__")[0]
    text = (data_dir("runtime_c") / "kernels" / family / f"{stem}.c").read_text()
    found = re.search(r"^EB_KERNEL\(\s*(\w+),\s*(\w+),\s*(\w+)\s*\);", text, re.MULTILINE)
    assert found is not None, f"{stem}.c: no EB_KERNEL line"
    assert f"{found[1]}__{found[2]}" == stem, f"{stem}.c: its EB_KERNEL line names another kernel"
    return "" if found[3] == "none" else found[3]


def choose_ref(node: Node, graph: Graph) -> KernelChoice | None:
    """The reference kernel of the node's first family."""
    families = op_of(node).families(node, graph)
    if not families:
        return None
    stem = f"{families[0]}__ref"
    return KernelChoice(stem, kernel_layout(stem))


def random_samples(op: str, seed: int, count: int) -> list[Sample]:
    """`count` samples of the op called `op`."""
    rng = np.random.default_rng(seed)
    made = (registry()[op].samples(rng) for _ in range(count))
    return [s for s in made if s is not None]


@dataclass
class _Unit:
    """The translation unit of many runs, and the output sizes in the order they are printed."""

    preludes: list[str] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)

    def text(self) -> str:
        families = dict.fromkeys(k.split("__")[0] for k in self.kernels)
        includes = "".join(f'#include "{f}/{f}.h"\n' for f in families)
        calls = "".join(f"    run_{i}();\n" for i in range(len(self.body)))
        main = f"int main(void) {{\n{calls}    return fflush(stdout);\n}}\n"
        return "\n".join((_HEADER + includes, *self.preludes, *self.data, *self.body, main))


def _array(ctype: str, name: str, raw: bytes) -> str:
    """A constant array with the exact bytes `raw`."""
    if ctype == "eb_requant_entry":
        rows = np.frombuffer(raw, [("a", "<i4"), ("m", "<i2"), ("s", "<i2")])
        items = [f"{{{_int(int(r['a']))}, {r['m']}, {r['s']}}}" for r in rows]
    elif ctype == "float":
        items = [_float(v) for v in np.frombuffer(raw, "<f4").tolist()]
    else:
        kind = {"u": "<u", "i": "<i"}[ctype[0]] + str(int(re.sub(r"\D", "", ctype)) // 8)
        items = [_int(v) for v in np.frombuffer(raw, kind).tolist()]
    text = ", ".join(items) or "0"
    return f"static const {ctype} {name}[] EB_ALIGNED(16) = {{{text}}};"


def _int(v: int) -> str:
    return "(-2147483647 - 1)" if v == -(2**31) else str(v)


def _float(v: float) -> str:
    if v in (float("inf"), float("-inf")):
        return "__builtin_inff()" if v > 0 else "-__builtin_inff()"
    return f"{v.hex()}f"


def _emit(
    unit: _Unit, low: Lowered, node: Node, graph: Graph, args: dict[str, Array], share: int | None
) -> None:
    """Append one run of one node; `share` is the position of the input the output overlaps."""
    i = len(unit.body)
    for block in re.split(r"\n\n+", low.prelude):  # as the exporter does: equal blocks once
        if block.strip() and block.strip("\n") + "\n" not in unit.preludes:
            unit.preludes.append(block.strip("\n") + "\n")
    unit.kernels += [k for k in low.kernels if k not in unit.kernels]
    lines = [f"static void run_{i}(void) {{"]
    frees: list[str] = []
    call: list[str] = []
    if low.params is not None:
        fields = ", ".join(f".{k} = {v}" for k, v in low.params[1].items())
        unit.data.append(f"static const {low.params[0]} p_{i} = {{{fields}}};")
        call.append(f"&p_{i}")
    out = graph.tensors[node.outputs[0]]
    at: dict[int, str] = {}
    for pos in low.inputs:
        name = node.inputs[pos]
        raw = np.ascontiguousarray(args[name]).tobytes()
        unit.data.append(_array("uint8_t", f"i_{i}_{pos}", raw))
        if pos == share:
            distance = op_of(node).overlap(node, graph)[pos]
            assert distance is not None
            shift = max(-_pad(out.nbytes), min(distance // 16 * 16, _pad(len(raw))))
            lead = max(0, -shift)
            size = max(lead + _pad(len(raw)), lead + shift + _pad(out.nbytes))
            lines.append(f"    unsigned char *shared = block({size});")
            frees.append("shared")
            at[pos] = f"shared + {lead}"
            where_out = f"shared + {lead + shift}"
        else:
            lines.append(f"    unsigned char *in_{pos} = block({len(raw)});")
            frees.append(f"in_{pos}")
            at[pos] = f"in_{pos}"
        lines.append(f"    memcpy({at[pos]}, i_{i}_{pos}, {len(raw)});")
        call.append(f"(const void *)({at[pos]})")
    for c in low.consts:
        unit.data.append(_array(c.ctype, f"c_{i}_{c.suffix}", c.raw))
        call.append(f"c_{i}_{c.suffix}")
    outs: list[tuple[str, int]] = []
    for k, name in enumerate(node.outputs):
        size = graph.tensors[name].nbytes
        if k == 0 and share is not None:
            lines.append(f"    void *out_0 = {where_out};")
        else:
            lines.append(f"    void *out_{k} = block({size});")
            frees.append(f"out_{k}")
        outs.append((f"out_{k}", size))
        call.append(f"out_{k}")
    if low.scratch_bytes > 0:
        lines.append(f"    void *scratch = block({low.scratch_bytes});")
        frees.append("scratch")
        call.append("scratch")
    if low.alias:
        lines.append(f"    memcpy(out_0, {at[low.inputs[0]]}, {outs[0][1]});")
    else:
        lines.append(f"    {low.function}({', '.join(call)});")
    lines += [f"    show({name}, {size});" for name, size in outs]
    lines += [f"    free({name});" for name in frees]
    unit.body.append("\n".join([*lines, "}", ""]))


def _pad(n: int) -> int:
    return -(-n // 16) * 16


def compile_and_run(unit: _Unit, folder: Path, extra: Sequence[str] = ()) -> bytes:
    """Build the unit with its kernels under every warning and the sanitizers, run it, return its stdout."""
    root = data_dir("runtime_c")
    source, program = folder / "unit.c", folder / "unit"
    source.write_text(unit.text())
    kernels = [str(root / "kernels" / k.split("__")[0] / f"{k}.c") for k in unit.kernels]
    command = [*compiler(), *WARNINGS, "-O1", "-g0", *sanitizers(), *extra]
    command += ["-I", str(root / "include"), "-I", str(root / "kernels"), str(source), *kernels]
    made = subprocess.run([*command, "-o", str(program), "-lm"], capture_output=True, text=True)
    assert made.returncode == 0, f"the compiler refused {source}:\n{made.stderr[-6000:]}"
    ran = subprocess.run([str(program)], capture_output=True)
    assert ran.returncode == 0, f"{program} failed:\n{ran.stderr.decode(errors='replace')[-6000:]}"
    return ran.stdout


def check_samples(samples: Iterable[Sample], choose: Choose = choose_ref, extra: Sequence[str] = ()) -> int:
    """Assert that C and NumPy agree on every node of every sample; returns the number of runs compared."""
    unit = _Unit()
    expected: list[tuple[str, Array]] = []
    for s in samples:
        infer_all(s.graph)
        s.graph.check()
        values = execute(s.graph, s.inputs)
        for node in s.graph.nodes:
            op = op_of(node)
            low = op.lower(node, s.graph, choose(node, s.graph))
            distances = op.overlap(node, s.graph)
            shares = [p for p in low.inputs if distances[p] is not None and not low.alias]
            for share in (None, *shares):
                _emit(unit, low, node, s.graph, values, share)
                label = (
                    f"{node.op} {s.note} overlap={None if share is None else distances[share]} {low.function}"
                )
                expected += [(f"run {len(unit.body) - 1}: {label} {o}", values[o]) for o in node.outputs]
    with tempfile.TemporaryDirectory(prefix="edgebit-kernels-") as d:
        got = compile_and_run(unit, Path(d), extra)
    assert len(got) == sum(v.nbytes for _, v in expected)
    offset = 0
    for label, want in expected:
        have = np.frombuffer(got, want.dtype, want.size, offset).reshape(want.shape)
        offset += want.nbytes
        if have.tobytes() != np.ascontiguousarray(want).tobytes():
            pairs = zip(have.ravel().tolist(), want.ravel().tolist(), strict=True)
            bad = [(i, a, b) for i, (a, b) in enumerate(pairs) if a != b]
            raise AssertionError(f"{label}: {len(bad)} of {want.size} differ, (index, C, NumPy): {bad[:8]}")
    return len(unit.body)
