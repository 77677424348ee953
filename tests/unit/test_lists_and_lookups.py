"""When controllers with Thumb-2 take lists and lookups instead of masks and of weights as code."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from edgebit.bench.kernel_shapes import SHAPES, ZEROS, layer
from edgebit.board import load_board
from edgebit.cli._tables import plan_rows
from edgebit.ir import DType, Graph, Node, Quant, Tensor
from edgebit.ops.base import infer_all
from edgebit.plan.account import fit
from edgebit.plan.choice import rank, rank_all
from edgebit.plan.kernels import Optimize, candidates
from edgebit.plan.plan import make_plan

BOARDS = ("nucleo-f446re", "teensy-4.1", "pico2")  # Cortex-M4, M7, M33
LIST_OF_COLUMNS, LISTS, LOOKUP = (
    "tmatvec_s8__armv7em_list8", "tpixels_s8__armv7em_list8", "tpixels_s8__armv7em_lut3"
)  # fmt: skip
SAME = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}


@pytest.mark.parametrize("board", BOARDS)
def test_sparse_dense_layers_run_by_lists(board: str) -> None:
    """They are both the fastest and the smallest there."""
    b = load_board(board)
    graph = SHAPES["sparse-fc-640x128-90"].make()
    for mode in get_args(Optimize):
        row = plan_rows(make_plan(graph, b.core, b, optimize=mode))[0]
        assert row["kernel"] == LIST_OF_COLUMNS
        assert row["runner_up"] == ("tmatvec_s8__ref" if mode == "size" else "tmatvec_s8__armv7em")
        assert row["cost"] < 0.7 * row["runner_up_cost"]


def test_the_cortex_m3_has_them_too() -> None:
    b = load_board("mps2-an385")
    dense, conv = (
        make_plan(SHAPES[s].make(), b.core, b).layers[0].lowered.kernel
        for s in ("sparse-fc-640x128-90", "sparse-conv3x3-64-64-8x8-90")
    )
    assert (dense, conv) == ("tmatvec_s8__armv7m_list8", "tpixels_s8__armv7m_list8")
    assert make_plan(SHAPES["conv3x3-64-64-8x8"].make(), b.core, b).layers[0].lowered.layout == "lut3b"


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4f", "cortex-m7", "cortex-m33"])
def test_every_list_and_lookup_has_a_price(core: str) -> None:
    b = next(load_board(n) for n in ("mps2-an385", *BOARDS) if load_board(n).core.name == core)
    for shape in ("sparse-fc-640x128-90", "sparse-conv3x3-64-64-8x8-90"):
        graph = SHAPES[shape].make()
        found = [c for c in candidates(graph.nodes[0], graph, b.core) if c.stem.endswith(("_list8", "_lut3"))]
        assert len(found) >= (1 if "fc" in shape else 3)
        assert all(c.modelled for c in found)


def chain(layers: int, zeros: float = ZEROS) -> Graph:
    """3 x 3 convolutions of 64 channels, one behind the other."""
    g = layer("conv2d", (1, 8, 8, 64), (64, 3, 3, 64), SAME, zeros)
    first = g.nodes[0]
    g.tensors["x"] = Tensor("x", (1, 8, 8, 64), DType.S8, Quant(1 / 64, -128))
    rng = np.random.default_rng(1)
    g.nodes = []
    for k in range(layers):
        w = g.consts["w"]
        g.consts[f"w{k}"] = type(w)(rng.permutation(w.trits), w.scale)  # type: ignore[union-attr, call-arg]
        source, out = f"t{k}" if k else "x", f"t{k + 1}"
        g.nodes.append(Node("conv2d", f"n{k}", [source, f"w{k}"], [out], dict(first.attrs)))
    g.outputs = [f"t{layers}"]
    infer_all(g)
    return g


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("zeros", [0.8, 0.9])
def test_sparse_convolutions_run_by_lists_unless_speed_is_all(board: str, zeros: float) -> None:
    """In a network of which they are the greater part."""
    b, layers = load_board(board), 6
    rows = {m: plan_rows(make_plan(chain(layers, zeros), b.core, b, optimize=m)) for m in get_args(Optimize)}
    assert {r["kernel"] for r in rows["balanced"]} == {LISTS}
    assert all(r["kernel"].endswith("_code") for r in rows["speed"])
    total = {(m, what): sum(r[what] for r in of) for m, of in rows.items() for what in ("cost", "bytes")}
    assert total["balanced", "cost"] < 2 * total["speed", "cost"]
    assert total["balanced", "bytes"] * 1.5 < total["speed", "bytes"]
    if zeros > 0.8:
        assert {r["layout"] for r in rows["size"]} <= {"list8", "list8p"}


def test_lookup_is_next_where_code_does_not_fit() -> None:
    """Layers of 47 KB of code do not fit 512 KB together: some give way to lookups, which save most for a cycle, and
    none to masks. The trade is the one that prices say."""
    b = load_board("nucleo-f446re")
    g = chain(14)
    plan = make_plan(g, b.core, b, optimize="speed")
    fit(plan).check()
    kernels = [p.lowered.kernel for p in plan.layers]
    assert LOOKUP in kernels
    assert {k.rsplit("_", 1)[1] for k in kernels} == {"code", "lut3"}
    found = candidates(g.nodes[0], g, b.core)
    code = rank(found, "speed")[0]
    lookup, masks = (next(c for c in found if c.stem == s) for s in (LOOKUP, "tdots_s8__armv7em"))
    assert code.cost < lookup.cost < masks.cost
    assert code.nbytes > lookup.nbytes > masks.nbytes
    steps = [(c.cost - code.cost) / (code.nbytes - c.nbytes) for c in (lookup, masks)]
    assert steps[0] < steps[1]


@pytest.mark.parametrize("board", BOARDS)
def test_balanced_weighs_lookups_against_masks(board: str) -> None:
    """A lookup takes more flash than masks, and less the fewer weights are left: where hardly any flash is spent beside
    the layer, it is the better of the two from about 60 % zeros on."""
    b = load_board(board)
    taken = []
    for zeros in (0.0, 0.6, 0.7):
        g = layer("conv2d", (1, 8, 8, 64), (64, 3, 3, 64), SAME, zeros)
        [found] = rank_all([candidates(g.nodes[0], g, b.core)], "balanced", lambda _: 0)
        taken.append(found[0].stem)
    assert taken == ["tdots_s8__armv7em", LOOKUP, LOOKUP]
