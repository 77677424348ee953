"""Holds the account of code and stack before compiling to a linked image: never below, at most 10 % above."""

from __future__ import annotations

from edgebit.plan.account import fit
from edgebit.plan.plan import Plan
from edgebit.toolchain.build import BuildResult
from edgebit.toolchain.elf import Image

_TOLERANCE = 1.10


def check_account(plan: Plan, built: BuildResult, chain: str) -> None:
    """chain: "zig" or "gcc", which built it. The boot stage lies in a memory of its own and is not counted."""
    assert plan.board is not None
    image = Image(built.elf)
    flash = min((m.origin for m in plan.board.memories if m.kind == "flash"), default=0)
    boot = sum(s.size for s in image.sections if s.executable and s.address < flash)
    rows = {r.item: r.bytes for r in fit(plan, chain).rows}
    sizes = {k: v for k, v in built.sizes.items() if v is not None}
    said = {
        "code": (rows["code"], sizes["code"] - boot),
        **({"stack": (rows["stack"], sizes["stack"])} if "stack" in sizes else {}),  # the host's is not known
        "constants": (rows["weights"] + rows["other constants"], sizes["const"]),
        "data": (rows["program data"] + rows["arena"] + rows["state"], sizes["data"] + sizes["bss"]),
    }
    for what, (bound, actual) in said.items():
        assert bound >= actual, f"{what}: {actual} B built, the account says at most {bound} B"
    for what in {"code", "stack"} & said.keys():
        bound, actual = said[what]
        assert bound <= _TOLERANCE * actual, f"{what}: {actual} B built, the account says {bound} B"
