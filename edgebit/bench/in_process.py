"""Exports for the host, loaded into this process and timed against one another."""

from __future__ import annotations

import ctypes
import importlib
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebit.core import Core
from edgebit.errors import ToolchainError
from edgebit.ir.graph import Array
from edgebit.ops.base import op_of
from edgebit.plan.plan import Plan
from edgebit.toolchain.base import Job, Toolchain, find_toolchain, host_is_freestanding, run

SHIM = "in_process.c"
ROUNDS = 15
BATCH_S = 0.004
_STATIC = ("-static", "-no-pie", "-fno-pic", "-fno-pie", "-Wl,-e,eb_bench_run")


class Loaded:
    """One model in this process. Inputs are overwritten by a run, which may use their memory again."""

    def __init__(self, plan: Plan, folder: Path, chain: Toolchain) -> None:
        self._plan = plan
        pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")
        meta = pipeline.ExportMeta("bench", "host", "-", "0" * 64, source_note="random")
        out = pipeline.export_model(plan, [], folder, meta=meta)
        library = ctypes.CDLL(str(_build(Path(out), plan.core, chain)))
        library.eb_bench_arena.restype = ctypes.POINTER(ctypes.c_uint8)
        self._run = library.eb_bench_run
        self._run.argtypes = [ctypes.c_uint32]
        if library.eb_bench_init() != 0:
            raise ToolchainError(f"the model in {out} does not start")
        self._arena = np.ctypeslib.as_array(library.eb_bench_arena(), shape=(max(1, plan.arena_bytes),))

    def write(self, inputs: Mapping[str, Array]) -> None:
        """Put canonical inputs where the model reads them."""
        for name, value in inputs.items():
            at = self._plan.offsets[name]
            raw = np.ascontiguousarray(value).view(np.uint8).reshape(-1)
            self._arena[at : at + raw.size] = raw

    def outputs(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; the outputs."""
        self.write(inputs)
        self.seconds(1)
        found = {}
        for name in self._plan.graph.outputs:
            t, at = self._plan.graph.tensors[name], self._plan.offsets[name]
            found[name] = self._arena[at : at + t.nbytes].copy().view(t.dtype.numpy).reshape(t.shape)
        return found

    def seconds(self, times: int) -> float:
        """What `times` runs took by the clock."""
        start = time.perf_counter()
        status = self._run(times)
        took = time.perf_counter() - start
        if status != 0:
            raise ToolchainError(f"the model returned {status}")
        return took


def _build(export: Path, core: Core, chain: Toolchain) -> Path:
    """Compile an export's model, without the bench application, into a shared library beside it."""
    program = json.loads((export / "edgebit.json").read_text())["build"]
    hosted = not host_is_freestanding()
    sources = [s for s in program["sources"] if not s.startswith(("app/", "port/"))]
    sources += [] if hosted else [s for s in program["freestanding"] if s.endswith("mem.c")]
    (export / SHIM).write_bytes(Path(__file__).with_name(SHIM).read_bytes())
    job = Job(
        folder=export,
        core=core,
        sources=(SHIM, *sorted(sources)),
        quoted=tuple(program["includes"]),
        includes=() if hosted else tuple(program["freestanding_includes"]),
        defines=(),
        script="",
        entry="" if hosted else "eb_bench_run",
        output=export / "model.so",
        hosted=hosted,
    )
    command = [a for a in chain.command(job) if a not in _STATIC]
    run([*command, "-shared", "-fPIC"], export, chain.environment(), what=f"{chain.name} for this machine")
    return job.output


def ratios(
    plans: Sequence[Plan], reference: Plan, inputs: Sequence[Mapping[str, Array]], toolchain: str | None
) -> list[tuple[float, list[dict[str, Array]]]]:
    """For each plan: its time over the reference's, in one process and turn by turn, and its outputs.

    The median of the ratios of ROUNDS turns, in each of which every model runs for some milliseconds.
    """
    chain = find_toolchain(toolchain)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        models = [Loaded(p, Path(folder) / f"m{k}", chain) for k, p in enumerate([reference, *plans])]
        outputs = [[m.outputs(v) for v in inputs] for m in models[1:]]
        times = []
        for m in models:
            m.write(inputs[0])
            times.append(max(1, int(BATCH_S / max(m.seconds(1), 1e-7))))
        rounds: list[list[float]] = []
        for _ in range(ROUNDS):
            took = [m.seconds(n) / n for m, n in zip(models, times, strict=True)]
            rounds.append([t / took[0] for t in took[1:]])
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        return list(zip(medians, outputs, strict=True))


def all_reference(plan: Plan) -> dict[str, str]:
    """The portable kernel of each layer that has a choice, as make_plan's `kernels` takes it."""
    found = {}
    for layer in plan.layers:
        families = op_of(layer.node).families(layer.node, plan.graph)
        if families:
            found[layer.node.name] = f"{families[0]}__ref"
    return found
