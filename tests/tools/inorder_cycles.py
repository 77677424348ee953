"""Modelled cycles of the inner loops of AArch64 kernels without dot products, by LLVM's machine code analyser.

    python tests/tools/inorder_cycles.py [cortex-a53 [tmatvec_s8__neon_inorder_e16 ...]]

Each kernel is compiled by every installed toolchain, its loop with most multiplications is taken from the object,
and `llvm-mca` (22 or later; tests/tools/m55_cycles.py says where from) runs it a hundred times with its model of the
core. What comes out are modelled cycles of that loop alone, for memory that answers at once: no start, no end of a
row, no caches. A core on which LLVM has no model of its own is refused.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgebit.core import Core, load_core
from edgebit.devices.cycles_mca import run
from edgebit.layouts.base import layout_of
from edgebit.layouts.fields import Fives
from edgebit.plan.kernels import Kernel, all_kernels, kernels_for
from edgebit.resources import data_dir
from edgebit.toolchain.base import COMMON_FLAGS

LLVM_CPU = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a72"}
ROUNDS = 100
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*?)\s*(?:<.*>)?$")
_MULTIPLY = re.compile(r"smu?l+a?l2?$|smlal2?$|smull2?$")
_CYCLES = re.compile(r"^Total Cycles:\s+(\d+)", re.MULTILINE)


def compiled(core: Core, kernel: Kernel, chain: str, out: Path) -> Path:
    """The kernel's object file."""
    runtime = data_dir("runtime_c")
    if chain == "zig":
        target = ["-target", core.zig["target"], f"-mcpu={core.zig['mcpu']}"]
        command = [sys.executable, "-m", "ziglang", "cc", *target]
    else:
        command = [f"{core.gcc['prefix']}gcc", *core.gcc["flags"]]
    command += [*COMMON_FLAGS, "-I", str(runtime / "include"), "-I", str(runtime / "kernels")]
    subprocess.run([*command, "-c", str(kernel.path), "-o", str(out)], check=True)
    return out


def inner_loop(obj: Path) -> list[str]:
    """The instructions of the loop without a loop inside that multiplies most, its branch included."""
    listing = run("llvm-objdump", "-d", "--no-show-raw-insn", "--no-leading-headers", str(obj))
    found = [m for m in map(_LINE.match, listing.splitlines()) if m]
    at = {int(m[1], 16): k for k, m in enumerate(found)}
    loops: list[tuple[int, int]] = []
    for k, m in enumerate(found):
        if m[2].startswith(("b.", "cbnz", "tbnz", "cbz")):
            target = at.get(int(m[3].split(",")[-1].strip(), 16), k)
            if target < k:
                loops.append((target, k))
    inner = [(a, b) for a, b in loops if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)]
    a, b = max(inner, key=lambda ab: sum(bool(_MULTIPLY.match(m[2])) for m in found[ab[0] : ab[1] + 1]))
    return [f"{m[2]} {m[3]}" for m in found[a:b]] + ["b.ne ."]


def cycles(code: Sequence[str], core: str) -> float:
    """Modelled cycles of one round."""
    said = run(
        "llvm-mca", "-mtriple=aarch64", f"-mcpu={LLVM_CPU[core]}", f"-iterations={ROUNDS}",
        "-instruction-info=false", "-resource-pressure=false", "-", text="\n".join(code) + "\n",
    )  # fmt: skip
    match = _CYCLES.search(said)
    assert match is not None, said
    return int(match[1]) / ROUNDS


def macs(kernel: Kernel, code: Sequence[str]) -> float:
    """Multiply-accumulates of one round: eight a multiplication, of which fives need six for five rows."""
    multiplications = sum(bool(_MULTIPLY.match(line.split()[0])) for line in code)
    return 8 * multiplications * (5 / 6 if isinstance(layout_of(kernel.layout), Fives) else 1)


def main(arguments: Sequence[str]) -> int:
    core = load_core(arguments[0] if arguments else "cortex-a53")
    if core.name not in LLVM_CPU:
        print(f"LLVM has no model of its own for {core.title}; there are: {', '.join(LLVM_CPU)}")
        return 2
    mine = [k for f in ("tmatvec_s8", "tmatmat_s8") for k in kernels_for(f, core) if k.isa != "ref"]
    kernels = [all_kernels()[name] for name in arguments[1:]] or mine
    chains = ("zig", "gcc") if shutil.which(f"{core.gcc['prefix']}gcc") else ("zig",)
    with tempfile.TemporaryDirectory() as tmp:
        for kernel in kernels:
            for chain in chains:
                code = inner_loop(compiled(core, kernel, chain, Path(tmp) / "kernel.o"))
                each, made = cycles(code, core.name), macs(kernel, code)
                print(
                    f"{kernel.stem:28} {chain}: {len(code):4} instructions, {each:7.2f} modelled cycles, "
                    f"{made:.0f} multiply-accumulates: {each / made:.3f} cycles, {len(code) / made:.3f} instructions"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
