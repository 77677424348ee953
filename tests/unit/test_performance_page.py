"""docs/performance.md is what its script makes of docs/performance.json."""

from __future__ import annotations

import json
from pathlib import Path

from edgebit.bench.kernel_shapes import SHAPES
from edgebit.bench.peers import NETWORKS, PEERS
from edgebit.bench.performance import main, page

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    text = (DOCS / "performance.json").read_text()
    (tmp_path / "performance.json").write_text(text)
    main([str(tmp_path)])
    assert (tmp_path / "performance.md").read_text() == (DOCS / "performance.md").read_text()


def test_every_row_has_its_kind_and_was_right() -> None:
    data = json.loads((DOCS / "performance.json").read_text())
    assert data
    for core in data.values():
        assert core["date"]
        assert core["toolchain"]
        for r in core["rows"]:
            assert r["bit_exact"] is True
            assert r["metric"].startswith(("modelled cycles/", "instructions/", "wall clock, ratio"))
            assert r["shape"] in SHAPES


def test_peers_stand_under_shapes_that_are_measured() -> None:
    measured = {s.rsplit("-", 1)[0] if s.startswith("conv") else s for s in SHAPES}
    for figures in PEERS.values():
        assert set(figures) <= measured
    for published in NETWORKS.values():
        assert {f"net-{task}" for task in published} <= set(SHAPES)


def test_rows_are_in_order_of_their_value() -> None:
    row = {"layout": "l", "metric": "instructions/MAC", "bits_per_weight": 2.0, "scratch_bytes": 0}
    row |= {"bit_exact": True, "predicted": None, "macs": 1, "weight_bytes": 1, "shape": "fc-256x64"}
    slow, fast = (
        {**row, "kernel": k, "value": v, "chosen": k == "slow"} for k, v in (("slow", 2.0), ("fast", 1.0))
    )
    core = {"core": "x", "machine": "m", "toolchain": "t", "date": "d", "version": "v"}
    text = page({"x": {**core, "rows": [slow, fast], "skipped": []}})
    assert text.index("| fast |") < text.index("| * slow |")
