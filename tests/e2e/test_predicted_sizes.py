"""The account of code and stack before compiling against the linked image: never below, at most 10 % above.

After a change of a kernel, a driver, the application or a port that makes this fail, measure the core again:
`python tests/tools/measure_core.py bounds CORE`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebit.bench.kernel_shapes import SHAPES
from edgebit.board import list_boards, load_board
from edgebit.errors import ToolchainError
from edgebit.ir.graph import Graph
from edgebit.plan.account import fit, load_bounds
from edgebit.plan.kernels import Optimize
from edgebit.plan.plan import Plan, make_plan
from edgebit.toolchain.base import find_toolchain
from edgebit.toolchain.build import build_export
from edgebit.toolchain.elf import Image
from edgebit.workflow import prepare_model

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1.10
MEASURED = ("cortex-m0plus", "cortex-m3", "cortex-m4f", "cortex-m7", "cortex-m33")
CORTEX_M = [b for b in list_boards() if load_board(b).core.is_cortex_m]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, Optimize], tuple[Path, Plan]]:
    """An example or network of a benchmark exported for a board."""
    graphs: dict[str, Graph] = {}

    def get(name: str, board: str, optimize: Optimize) -> tuple[Path, Plan]:
        if name not in graphs:
            example = ROOT / "examples" / name / f"{name}.onnx"
            graphs[name] = prepare_model(example).graph if example.is_file() else SHAPES[name].make()
        g = graphs[name]
        b = load_board(board)
        plan = make_plan(g, b.core, b, optimize=optimize)
        pipeline = importlib.import_module("edgebit.exporters.pipeline")
        zeros = {i: np.zeros(g.tensors[i].shape, g.tensors[i].dtype.numpy) for i in g.inputs}
        meta = pipeline.ExportMeta("sizes", b.name, "sizes", "0" * 64, source_note="zeros")
        folder = tmp_path_factory.mktemp("sizes") / "sizes"
        return Path(pipeline.export_model(plan, [zeros], folder, meta=meta)), plan

    return get


@pytest.mark.parametrize("chain", ["zig", "gcc"])
@pytest.mark.parametrize(
    ("name", "board", "optimize"),
    [("digits", b, "balanced") for b in CORTEX_M]
    + [(name, board, "speed") for board in ("pico", "nucleo-f446re") for name in ("gesture", "net-ic")],
)
def test_the_account_bounds_what_is_built(
    name: str,
    board: str,
    optimize: Optimize,
    chain: str,
    export: Callable[[str, str, Optimize], tuple[Path, Plan]],
) -> None:
    core = load_board(board).core
    try:
        find_toolchain(chain).version(core)
    except ToolchainError as e:
        pytest.skip(f"nothing to compare with: {e}")
    if core.name not in MEASURED:
        pytest.skip(f"{core.name} has no table: what its boards show before linking is a generous guess")
    assert load_bounds(core, chain).measured, f"{core.name} has no table for {chain}"
    folder, plan = export(name, board, optimize)
    built = build_export(folder, toolchain=chain)
    image = Image(built.elf)
    flash = min(m.origin for m in load_board(board).memories if m.kind == "flash")
    boot = sum(s.size for s in image.sections if s.executable and s.address < flash)
    rows = {r.item: r.bytes for r in fit(plan, chain).rows}
    sizes = {k: v for k, v in built.sizes.items() if v is not None}
    said = {
        "code": (rows["code"], sizes["code"] - boot),
        "stack": (rows["stack"], sizes["stack"]),
        "constants": (rows["weights"] + rows["other constants"], sizes["const"]),
        "data": (rows["program data"] + rows["arena"] + rows["state"], sizes["data"] + sizes["bss"]),
    }
    for what, (bound, actual) in said.items():
        assert bound >= actual, f"{what}: {actual} B built, the account says at most {bound} B"
    for what in ("code", "stack"):
        bound, actual = said[what]
        assert bound <= TOLERANCE * actual, f"{what}: {actual} B built, the account says {bound} B"
