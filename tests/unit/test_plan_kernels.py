"""Kernel discovery, prices and choice, and plans of real single-op graphs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgebit.core import Core, list_cores, load_core
from edgebit.errors import EdgebitError
from edgebit.ops.base import Sample, registry
from edgebit.ops.linear_samples import linear_sample
from edgebit.plan.kernels import (
    DEFAULT_COST,
    all_kernels,
    candidates,
    kernels_for,
    price,
    read_kernel,
    work_of,
)
from edgebit.plan.plan import arena_blocks, make_plan


def ternary_dense(rows: int, cols: int, outs: int, *, seed: int = 1) -> Sample:
    """A requantised dense layer with half of its weights zero."""
    rng = np.random.default_rng(seed)
    while True:
        s = linear_sample(rng, "dense", (rows, cols), (outs, cols), {}, rows)
        if s.note.startswith("requant trit"):
            return s


def test_every_kernel_file_is_known_to_some_core() -> None:
    chains = {i for c in list_cores() for i in load_core(c).isa}
    found = all_kernels()
    assert found
    for k in found.values():
        assert k.isa in chains, f"{k.path.name}: no core has the instruction set {k.isa!r}"
        assert f"{k.family}__ref" in found, f"{k.stem} has no reference to be compared with"


def test_a_kernel_file_must_be_named_as_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "fam"
    folder.mkdir()
    good = folder / "fam__armv7em_wide.c"
    good.write_text("// x\nEB_KERNEL(fam, armv7em_wide, t2);\n")
    k = read_kernel(good)
    assert k is not None
    assert (k.stem, k.isa, k.layout) == ("fam__armv7em_wide", "armv7em", "t2")
    helper = folder / "helper.c"
    helper.write_text("int x;\n")
    assert read_kernel(helper) is None
    wrong = folder / "fam__ref.c"
    wrong.write_text("EB_KERNEL(fam, armv6m, none);\n")
    with pytest.raises(EdgebitError, match="must be the file's name"):
        read_kernel(wrong)
    wrong.write_text("EB_KERNEL(fam, ref, none);\nEB_KERNEL(fam, ref, none);\n")
    with pytest.raises(EdgebitError, match="more than one"):
        read_kernel(wrong)


@pytest.mark.parametrize("name", list_cores())
def test_a_core_gets_only_kernels_it_can_run(name: str) -> None:
    core = load_core(name)
    for family in {k.family for k in all_kernels().values()}:
        mine = kernels_for(family, core)
        assert mine[-1].isa == "ref"
        assert all(k.isa in core.isa for k in mine)
        order = [core.isa.index(k.isa) for k in mine]
        assert order == sorted(order)


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4f", "cortex-m33", "cortex-a76"])
def test_the_cores_table_prices_the_fast_ternary_kernel_below_the_reference(name: str) -> None:
    s = ternary_dense(1, 256, 64)
    found = candidates(s.graph.nodes[0], s.graph, load_core(name))
    assert [c.cost for c in found] == sorted(c.cost for c in found)
    best, ref = found[0], next(c for c in found if c.stem == "tmatvec_s8__ref")
    assert best.modelled
    assert ref.modelled
    assert best.stem != ref.stem
    assert best.cost * 3 < ref.cost


def test_a_kernel_the_table_does_not_know_has_a_marked_default() -> None:
    s = ternary_dense(1, 64, 16)
    node = s.graph.nodes[0]
    core = dataclasses.replace(load_core("cortex-m0plus"), costs={})
    kernel = all_kernels()["tmatvec_s8__ref"]
    cost, modelled = price(core, node, s.graph, kernel)
    work = work_of(node, s.graph, kernel)
    assert not modelled
    assert cost == pytest.approx(sum(work[k] * v for k, v in DEFAULT_COST.items()))
    fast, modelled = price(core, node, s.graph, all_kernels()["tmatvec_s8__armv6m"])
    assert not modelled
    assert fast < cost
    only_ref = dataclasses.replace(core, costs={"tmatvec_s8__ref": {"mac": 10.0}})
    assert price(only_ref, node, s.graph, kernel) == (10.0 * work["mac"], True)
    half, modelled = price(only_ref, node, s.graph, all_kernels()["tmatvec_s8__armv6m"])
    assert not modelled
    assert half == pytest.approx(5.0 * work_of(node, s.graph, all_kernels()["tmatvec_s8__armv6m"])["mac"])


def test_a_kernel_can_be_forced_by_node() -> None:
    s = ternary_dense(1, 64, 16)
    core = load_core("cortex-m0plus")
    node = s.graph.nodes[0].name
    for c in candidates(s.graph.nodes[0], s.graph, core):
        plan = make_plan(s.graph, core, kernels={node: c.stem})
        assert plan.layers[0].lowered.kernel == c.stem
        assert plan.kernel_stems() == tuple(sorted(c.lowered.kernels))
    with pytest.raises(EdgebitError, match="cannot run on"):
        make_plan(s.graph, core, kernels={node: "tmatvec_s8__neon_dotprod"})


@pytest.mark.parametrize("name", sorted(registry()))
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-a76"])
def test_every_op_can_be_planned(name: str, core: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(4):
        s = registry()[name].samples(rng)
        if s is None:
            pytest.skip(f"{name} has no samples")
        plan = make_plan(s.graph, load_core(core))
        (layer,) = plan.layers
        assert set(plan.offsets) == set(s.graph.tensors)
        assert all(off % 16 == 0 for off in plan.offsets.values())
        assert plan.weight_bytes == sum(len(c.raw) for c in layer.lowered.consts)
        assert plan.arena_bytes >= plan.arena_lower_bound
        assert plan.arena_gap == plan.arena_bytes - plan.arena_lower_bound
        if layer.lowered.alias:
            assert plan.offsets[layer.node.outputs[0]] == plan.offsets[layer.node.inputs[0]]
        elif layer.lowered.scratch_bytes:
            at = plan.scratch_offset[0]
            for t in s.graph.tensors.values():
                off = plan.offsets[t.name]
                assert off + t.nbytes <= at or at + layer.lowered.scratch_bytes <= off
        assert plan == make_plan(s.graph, load_core(core))


def test_inputs_live_until_their_last_use_and_outputs_to_the_end() -> None:
    s = ternary_dense(1, 64, 16)
    core = load_core("cortex-m0plus")
    low = [candidates(s.graph.nodes[0], s.graph, core)[0].lowered]
    blocks, reuses, root = arena_blocks(s.graph, low)
    by_name = {b.name: b for b in blocks}
    assert (by_name["x"].start, by_name["x"].end) == (0, 1)
    assert (by_name["y"].start, by_name["y"].end) == (1, 2)
    assert root == {"x": "x", "y": "y"}
    assert all(r.below == "y" and r.above == "x" and r.distance <= 0 for r in reuses)


def test_cores_share_no_cost_between_metrics() -> None:
    """A core counted in instructions must not carry cycles: its tables name what they were measured on."""
    for name in list_cores():
        core: Core = load_core(name)
        if core.costs and core.family != "host":  # whose prices are a ratio within one run
            text = core.path.read_text()
            assert f"# What kernels cost, in {core.metric}" in text, name
