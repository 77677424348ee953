"""How much does one inference cost? Counts where the device is emulated, wall clock where it is this machine."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebit.bench.folder import ExportFolder
from edgebit.bench.vectors import Vector
from edgebit.devices.open import Device

WALL_CLOCK = "wall-clock seconds"


def wall_clock(device: Device) -> str:
    """What seconds are of, where nothing counts: a real board's hold its link, too."""
    if device.emulator is not None:
        return f"{WALL_CLOCK} of an emulator"
    return (
        f"{WALL_CLOCK} on this machine"
        if device.board.core.family == "host"
        else f"{WALL_CLOCK} with the link"
    )


@dataclass
class BenchResult:
    """One measurement; `metric` is the kind of every figure in it."""

    board: str
    metric: str
    per_inference: float
    layers: list[dict[str, Any]]
    runs: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "board": self.board,
            "metric": self.metric,
            "per_inference": self.per_inference,
            "layers": self.layers,
            "runs": self.runs,
        }


def measure(folder: ExportFolder, device: Device, inputs: Vector, runs: int = 1) -> BenchResult:
    """Cost of one inference on `inputs`; layers are split where the device's counter can split them.

    An emulated count is the same on every run, so one is enough; what is measured is the median of `runs`, layer by
    layer.
    """
    link = device.link
    times: list[float] = []
    counted: list[dict[int, int]] = []
    for _ in range(max(1, runs)):
        link.reset()
        for k, i in enumerate(folder.graph.inputs):
            link.write_input(k, np.ascontiguousarray(inputs[i]).tobytes())
        start = time.perf_counter()
        link.run(hash_layers=False)
        times.append(time.perf_counter() - start)
        if device.counter is not None:
            counted.append(dict(device.counter.layers()))
    rows = [
        {
            "name": row["name"],
            "kernel": row["kernel"],
            "value": None,
            "macs": row["macs"],
            "predicted": row["cost"],
            "modelled": row["modelled"],
        }
        for row in folder.manifest["layers"]
    ]
    if device.counter is None or not all(counted):
        return BenchResult(device.board.name, wall_clock(device), statistics.median(times), rows, len(times))
    counts = {index: statistics.median_high([c.get(index, 0) for c in counted]) for index in counted[0]}
    for index, row in enumerate(rows):
        row["value"] = counts.get(index, 0)
    return BenchResult(
        device.board.name, device.counter.metric, float(sum(counts.values())), rows, len(times)
    )
