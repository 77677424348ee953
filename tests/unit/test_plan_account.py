"""The account of flash and RAM: rows, text, and what is said when a plan does not fit."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edgebit.bench.kernel_shapes import SHAPES
from edgebit.board import Memory, load_board
from edgebit.core import load_core
from edgebit.errors import FitError
from edgebit.ops.base import Lowered, infer_all, op_of, registry
from edgebit.plan.account import (
    FLASH,
    RAM,
    UNMEASURED,
    Bounds,
    checked,
    code_bound,
    fit,
    kind_of,
    load_bounds,
    plain_name,
    stack_bound,
)
from edgebit.plan.plan import Plan, make_plan

BOUNDS = Bounds(
    code=1000,
    const=100,
    data=50,
    stack=200,
    runs={4: 40, 20: 56},
    layer_code=6,
    argument_code=2,
    layer_const=0,
    layer_data=4,
    functions={
        "eb_k__ref": 80,
        "eb_conv2d_k__ref_requant": 700,
        "eb_conv2d_k__ref_requant*": 720,
        "eb_k__fast": 90,
    },
    helpers={"__aeabi_fadd": 500, "__aeabi_fmul": 400},
    needs={"eb_k__fast": ("__aeabi_fadd",)},
    stacks={"eb_k__ref": 16, "eb_conv2d_k__ref_requant*": 120, "eb_k__fast": 24},
    check_code=30,
)


def lowered(function: str, *kernels: str) -> Lowered:
    return Lowered(function=function, kernels=kernels, inputs=(0,))


def plan_for(board: str, name: str = "dense") -> Plan:
    sample = registry()[name].samples(np.random.default_rng(3))
    assert sample is not None
    b = load_board(board)
    return make_plan(sample.graph, b.core, b)


def test_generated_functions_are_looked_up_by_kind() -> None:
    assert kind_of("eb_conv2d_k__ref_requant_padded") == "eb_conv2d_k__ref_requant_padded*"
    assert kind_of("eb_dense_t__armv6m_affine_scale_bias") == "eb_dense_t__armv6m_affine*"
    assert kind_of("eb_quantize_f32__ref") == "eb_quantize_f32__ref"
    assert kind_of("eb_requant_pixels__armv6m") == "eb_requant_pixels__armv6m"
    assert plain_name("eb_concat_3_9116c35a8fc1") == "eb_concat_3"


def test_code_counts_every_function_once() -> None:
    one = lowered("eb_conv2d_k__ref_requant", "k__ref")
    assert code_bound(BOUNDS, [one]) == 1000 + 10 + 80 + 700
    assert code_bound(BOUNDS, [one, one]) == 1000 + 20 + 80 + 700
    fast = lowered("eb_k__fast", "k__fast")
    assert code_bound(BOUNDS, [one, fast, fast]) == 1000 + 30 + 80 + 700 + 90 + 500
    alias = dataclasses.replace(one, alias=True)
    assert code_bound(BOUNDS, [alias]) == 1000


def test_code_counts_a_second_output_and_the_check_of_float_inputs() -> None:
    one = lowered("eb_k__ref", "k__ref")
    two = dataclasses.replace(one, outputs=2)  # another argument, and another call that hands out a tensor
    assert code_bound(BOUNDS, [two]) - code_bound(BOUNDS, [one]) == 2 + 6 + 2
    assert code_bound(BOUNDS, [one], checks=2) - code_bound(BOUNDS, [one]) == 2 * 30
    assert [checked(plan_for("pico", op).graph) for op in ("quantize", "dequantize")] == [1, 0]


@pytest.mark.parametrize("name", sorted(registry()))
def test_layers_tell_how_many_tensors_they_make(name: str) -> None:
    sample = registry()[name].samples(np.random.default_rng(3))
    assert sample is not None
    infer_all(sample.graph)
    for node in sample.graph.nodes:
        assert op_of(node).lower(node, sample.graph, None).outputs == len(node.outputs)


def test_drivers_of_weights_that_are_code_count_each() -> None:
    two = [lowered(f"eb_conv2d_k__ref_requant_{digest * 12}", "k__ref") for digest in "ab"]
    assert code_bound(BOUNDS, two) == 1000 + 20 + 80 + 2 * 700


def test_a_function_nobody_measured_is_as_large_as_its_like() -> None:
    new = lowered("eb_k__new", "k__new")
    assert code_bound(BOUNDS, [new]) == 1000 + 10 + 90 + 500
    steps = lowered("eb_conv2d_k__ref_requant_scale", "k__ref")
    assert code_bound(BOUNDS, [steps]) == 1000 + 10 + 80 + 720
    assert code_bound(UNMEASURED, [new]) > 12000


def test_stack_is_the_deepest_layer() -> None:
    core = load_core("cortex-m0plus")
    fast, slow = lowered("eb_k__fast", "k__fast"), lowered("eb_conv2d_k__ref_requant", "k__ref")
    assert stack_bound(BOUNDS, [fast], core) == 200 + 40 + 24
    assert stack_bound(BOUNDS, [slow, fast], core) == 200 + 40 + 120
    assert stack_bound(BOUNDS, [fast] * 5, core) == 200 + 56 + 24
    traced = dataclasses.replace(BOUNDS, trace=64)  # deeper than a layer that is shallow
    assert stack_bound(traced, [fast], core) == 200 + 40 + 64
    assert stack_bound(traced, [slow], core) == 200 + 40 + 120
    assert stack_bound(dataclasses.replace(traced, least=400), [slow], core) == 400
    many = dataclasses.replace(fast, inputs=(0, 1, 2, 3, 4))  # and an output: two words do not fit registers
    assert stack_bound(BOUNDS, [many], core) == 200 + 40 + 8 + 24


def test_rows_add_up() -> None:
    plan = plan_for("pico")
    table = fit(plan)
    assert {r.memory for r in table.rows} == {FLASH, RAM}
    by_item = {r.item: r for r in table.rows}
    assert (by_item["weights"].bytes, by_item["weights"].kind) == (plan.weight_bytes, "exact")
    assert (by_item["arena"].bytes, by_item["arena"].kind) == (plan.arena_bytes, "exact")
    assert by_item["code"].kind == by_item["stack"].kind == "upper bound"
    board = load_board("pico")
    assert table.totals == {FLASH: board.flash_bytes, RAM: board.ram_bytes}
    for memory, left in table.free().items():
        assert left == table.totals[memory] - table.used(memory)
    assert table.fits
    table.check()
    said = json.loads(json.dumps(table.to_dict()))
    assert said["fits"] is True
    assert sum(r["bytes"] for r in said["rows"] if r["memory"] == RAM) == table.used(RAM)
    text = table.text()
    assert "weights" in text
    assert "at most" in text
    assert f"{plan.arena_bytes:,} B" in text


def test_a_linux_machine_has_no_limits() -> None:
    table = fit(plan_for("rpi5"))
    assert table.totals == {}
    assert table.free() == {}
    assert "  file  weights" in table.text()
    table.check()


def test_what_does_not_fit_is_named() -> None:
    plan = plan_for("pico")
    assert plan.board is not None
    small = dataclasses.replace(
        plan.board,
        memories=(Memory("FLASH", "flash", 0, 4096), Memory("RAM", "ram", 0x20000000, 512)),
    )
    table = fit(dataclasses.replace(plan, board=small))
    assert not table.fits
    with pytest.raises(FitError) as e:
        table.check()
    text = str(e.value)
    assert e.value.exit_code == 4
    assert "FLASH is" in text
    assert "RAM is" in text
    assert "largest: " in text
    assert table.text() in text
    assert e.value.details["fit"]["free"][RAM] == table.free()[RAM] < 0


def test_a_core_without_a_table_is_marked() -> None:
    core = dataclasses.replace(load_core("cortex-m0plus"), name="nobody")
    assert load_bounds(core) is UNMEASURED
    assert not fit(dataclasses.replace(plan_for("pico"), core=core)).to_dict()["measured"]


def test_a_kernel_whose_scratch_does_not_fit_gives_way() -> None:
    graph = SHAPES["conv3x3-64-64-8x8"].make()
    board = load_board("pico")
    roomy = make_plan(graph, board.core, board, optimize="speed")
    assert fit(roomy).fits
    ram = fit(roomy).used(RAM) - 1024
    small = dataclasses.replace(
        board,
        memories=tuple(dataclasses.replace(m, length=ram) if m.kind == "ram" else m for m in board.memories),
    )
    tight = make_plan(graph, board.core, small, optimize="speed")
    assert fit(tight).fits
    assert 0 < tight.scratch_bytes < roomy.scratch_bytes
    assert tight.layers[0].cost > roomy.layers[0].cost
