"""The account of code and stack before compiling, of more than digits, which runs on every board elsewhere.

After a change of a kernel, a driver, the application or a port that makes this fail, measure the core again:
`python tests/tools/measure_core.py bounds CORE`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from account_checks import check_account

from edgebit.bench.kernel_shapes import SHAPES
from edgebit.board import load_board
from edgebit.errors import ToolchainError
from edgebit.ir.graph import Graph, Node, Tensor
from edgebit.ops.base import infer_all
from edgebit.plan.account import load_bounds
from edgebit.plan.kernels import Optimize
from edgebit.plan.plan import Plan, make_plan
from edgebit.toolchain.base import find_toolchain
from edgebit.toolchain.build import build_export
from edgebit.workflow import prepare_model

ROOT = Path(__file__).resolve().parents[2]


def rounded() -> Graph:
    """Float inputs, as many as LLVM unrolls the search for NaN 29 times for, in a layer that makes two tensors."""
    attrs = {"per": "row", "form": "recip_mul", "eps": 1e-5, "qmin": -128, "qmax": 127}
    g = Graph("rounded", inputs=["x"], outputs=["q", "d"])
    g.tensors["x"] = Tensor("x", (1, 29))
    g.nodes = [Node("dynamic_quantize", "n", ["x"], ["q", "d"], attrs)]
    infer_all(g)
    return g


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, Optimize], tuple[Path, Plan]]:
    """An example or network of a benchmark exported for a board."""
    graphs: dict[str, Graph] = {"rounded": rounded()}

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
    [
        *[(name, board, "speed") for board in ("pico", "nucleo-f446re") for name in ("gesture", "net-ic")],
        ("net-ad", "mps3-an547", "balanced"),  # its link takes more stack than its layers
        *[("rounded", board, "speed") for board in ("rpi3", "nucleo-f446re")],
        ("gesture", "host", "speed"),
    ],
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
        version = find_toolchain(chain).version(core)
    except ToolchainError as e:
        pytest.skip(f"nothing to compare with: {e}")
    compiler = load_bounds(core, chain).compiler
    if board == "host" and compiler != version:
        pytest.skip(
            f"the host's table was measured with {compiler or 'a processor of another kind'}, not {version}"
        )
    assert load_bounds(core, chain).measured, f"{core.name} has no table for {chain}"
    folder, plan = export(name, board, optimize)
    check_account(plan, build_export(folder, toolchain=chain), chain)
