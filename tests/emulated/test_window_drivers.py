"""How drivers bring windows together on emulated boards: random convolutions with few input channels, bit for bit the
reference. Armv6-M and Helium have code of their own for it, which no host runs, and Helium for layers of points, which
are computed in one call."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.bench.folder import open_export
from edgebit.bench.session import connect
from edgebit.bench.verify import golden, verify
from edgebit.board import load_board
from edgebit.ops.base import Sample
from edgebit.ops.linear_samples import linear_sample
from edgebit.plan.kernels import candidates
from edgebit.plan.plan import make_plan

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("core_samples")


def samples(rng: np.random.Generator, count: int) -> list[Sample]:
    """Windows of one to five rows and columns, cut off on every side, strides and dilations of 1 and 2."""
    found: list[Sample] = []
    while len(found) < count:
        (kh, kw), (h, w) = rng.integers(1, 6, 2).tolist(), rng.integers(1, 14, 2).tolist()
        c = int(rng.choice([1, 2, 3, 4, 5, 8]))
        strides, dilations = rng.integers(1, 3, 2).tolist(), rng.choice([1, 1, 1, 2], 2).tolist()
        pads = rng.integers(0, 4, 4).tolist()
        if (
            h + pads[0] + pads[2] <= (kh - 1) * dilations[0]
            or w + pads[1] + pads[3] <= (kw - 1) * dilations[1]
        ):
            continue
        attrs = {
            "strides": tuple(strides),
            "pads": tuple(pads),
            "dilations": tuple(dilations),
            "groups": 1,
        }
        outs = int(rng.integers(1, 40))
        found.append(linear_sample(rng, "conv2d", (1, h, w, c), (outs, kh, kw, c), attrs, 1))
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pico", ("pixels_s8__armv6m_code", "tpixels_s8__armv6m_code", "tpixels_s8__armv6m_lut3")),
        ("mps3-an547", ("matvec_s8__mve", "tmatvec_s8__mve")),
    ],
)
def test_windows_are_those_of_the_reference(
    name: str, wanted: tuple[str, ...], tools: Any, tmp_path: Path
) -> None:
    if name == "mps3-an547" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    board = load_board(name)
    g, values = tools.merge(samples(np.random.default_rng(20), 24))
    forced: dict[str, str] = {}
    for k, node in enumerate(g.nodes):
        stems = {c.choice.stem for c in candidates(node, g, board.core, None) if c.choice}
        mine = [s for s in wanted if s in stems]
        if mine:
            forced[node.name] = mine[k % len(mine)]
    assert set(forced.values()) == set(wanted)
    check(tools.export(make_plan(g, board.core, board, kernels=forced), values, board, tmp_path))


def check(exported: Path) -> None:
    folder = open_export(exported)
    with connect(folder, emulate="") as device:
        found = verify(folder, device.link, golden(folder))
    assert found.bit_exact, found.first_mismatch


def points(rng: np.random.Generator) -> Sample:
    """A dense layer or 1x1 convolution of one pixel of any width or a few of whole vectors, one to seventy outputs."""
    pixels = int(rng.choice([1, 1, 2, 3, 6]))
    cols = 16 * int(rng.integers(1, 8)) - (int(rng.integers(0, 16)) if pixels == 1 else 0)
    outs = int(rng.integers(1, 71))
    if rng.random() < 0.5:
        return linear_sample(rng, "dense", (pixels, cols), (outs, cols), {}, pixels)
    attrs = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
    return linear_sample(rng, "conv2d", (1, 1, pixels, cols), (outs, 1, 1, cols), attrs, 1)


def test_points_are_those_of_the_reference(tools: Any, tmp_path: Path) -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    board, rng, kernel = load_board("mps3-an547"), np.random.default_rng(21), "tpoints_s8__mve_digits7"
    mine: list[Sample] = []
    while len(mine) < 12:
        s = points(rng)
        if any(c.stem == kernel for c in candidates(s.graph.nodes[0], s.graph, board.core)):
            mine.append(s)
    assert {s.graph.nodes[0].op for s in mine} == {"dense", "conv2d"}
    g, values = tools.merge(mine)
    plan = make_plan(g, board.core, board, kernels={n.name: kernel for n in g.nodes})
    check(tools.export(plan, values, board, tmp_path))
