"""report.html: one self-contained page about an export, and about device results when there are any."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2

_HUES = (205, 160, 35, 280, 340, 95, 20, 240, 180, 310, 60, 130)


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _memories(fit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bars of the fit table: one a memory, segments as shares of its size."""
    bars = []
    for memory, total in fit.get("totals", {}).items():
        rows = [r for r in fit["rows"] if r["memory"] == memory]
        used = sum(r["bytes"] for r in rows)
        size = total or used or 1
        bars.append(
            {
                "name": memory,
                "total": total,
                "used": used,
                "parts": [
                    {**r, "share": 100 * r["bytes"] / max(size, used), "hue": _HUES[i % len(_HUES)]}
                    for i, r in enumerate(rows)
                ],
            }
        )
    return bars


def _arena(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The arena as a picture: time (layers) to the right, address upwards."""
    width, height = 900.0, 260.0
    steps = len(manifest["layers"]) + 2
    size = max(1, manifest["arena_bytes"])
    boxes = []
    for k, t in enumerate(manifest.get("arena", ())):
        x0, x1 = t["from"] / steps * width, (t["to"] + 1) / steps * width
        h = max(1.0, t["bytes"] / size * height)
        boxes.append(
            {
                **t,
                "x": round(x0, 2),
                "w": round(x1 - x0, 2),
                "y": round(height - t["offset"] / size * height - h, 2),
                "h": round(h, 2),
                "hue": _HUES[k % len(_HUES)],
            }
        )
    return {"width": width, "height": height, "boxes": boxes}


def render(
    manifest: Mapping[str, Any],
    verify: Mapping[str, Any] | None = None,
    bench: Mapping[str, Any] | None = None,
) -> str:
    """The page. `verify` and `bench` are the JSON objects those verbs print, for this export's board."""
    env = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    env.filters["count"] = _count
    text = (files("edgebit.exporters") / "report.html.jinja").read_text(encoding="utf-8")
    layers = [dict(r) for r in manifest["layers"]]
    for i, row in enumerate(layers):
        row["value"] = bench["layers"][i]["value"] if bench else None
    peak_cost = max((r["cost"] or 0 for r in layers), default=0) or 1
    peak_value = max((r["value"] or 0 for r in layers), default=0) or 1
    return env.from_string(text).render(
        m=manifest,
        layers=layers,
        macs=sum(r["macs"] for r in layers),
        memories=_memories(manifest["fit"]),
        arena=_arena(manifest),
        verify=verify,
        bench=bench,
        peak_cost=peak_cost,
        peak_value=peak_value,
    )
