"""How drivers bring windows together on emulated boards: random convolutions with few input channels, bit for bit the
reference. Armv6-M and Helium have code of their own for it, which no host runs."""

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
    folder = open_export(
        tools.export(make_plan(g, board.core, board, kernels=forced), values, board, tmp_path)
    )
    with connect(folder, emulate="") as device:
        found = verify(folder, device.link, golden(folder))
    assert found.bit_exact, found.first_mismatch
