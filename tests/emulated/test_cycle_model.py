"""The cost of loops that can be worked out by hand from the reference manuals' tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebit.board import load_board
from edgebit.core import load_core
from edgebit.devices.cycles import CostModel, count_thumb, m0plus, m3, m4
from edgebit.devices.unicorn_m import CortexM
from edgebit.errors import EdgebitError
from edgebit.toolchain.elf import Image

LOOPS = Path(__file__).with_name("cycle_loops.S")
DELAY = 1000


@pytest.fixture(scope="session")
def loops(program: Callable[..., Any]) -> Callable[..., CortexM]:
    """A machine that runs cycle_loops.S; one round per byte received."""

    def make(name: str, delay: int = DELAY) -> CortexM:
        built = program(name, LOOPS, f"DELAY={delay}")
        mark = Image(built.elf).symbol("eb_mark").address
        return CortexM(load_board(name), built.bin.read_bytes(), mark=mark)

    return make


# Between two marks: loading arguments and the call (instructions, cycles), dot itself, "movs, bl", "bx lr".
# M0+: ldr 2 ldr 2 movs 1 lsls 1 bl 3 | push 5 movs 1 movs 1, 256 x (ldrsb 2 ldrsb 2 muls adds adds cmp bne 2) - 1,
# movs 1 pop 7 | movs 1 bl 3 | bx 2.   M4: the second ldr and ldrsb overlap the first, bx takes 3.
CALLS = 5 + 1797 + 2 + 1
DELAYS = 1 + 2 * DELAY + 2 + 1


@pytest.mark.parametrize(
    ("name", "dot", "delay"),
    [
        ("pico", 9 + (7 + 256 * 10 - 1 + 8) + 4 + 2, 2 + 3 * DELAY - 1 + 4 + 2),
        ("nucleo-f446re", 8 + (7 + 256 * 9 - 1 + 8) + 4 + 3, 2 + 3 * DELAY - 1 + 4 + 3),
        ("pico2", CALLS, DELAYS),
    ],
)
def test_known_loops(loops: Callable[..., CortexM], name: str, dot: int, delay: int) -> None:
    machine = loops(name)
    try:
        assert machine.counter is not None
        machine.counter.enable(True)
        for _ in range(3):
            machine.write(b"x")
            machine.read(0)
            assert machine.counter.instructions() == [(0, CALLS), (1, DELAYS)]
            assert machine.counter.layers() == [(0, dot), (1, delay)]
    finally:
        machine.close()


def test_dot_product_is_near_a_second_simulators_figure(loops: Callable[..., CortexM]) -> None:
    """rp2040js 1.4.1 gives 2574 cycles for such a dot(256), this model gave 2576 for a compiler's."""
    machine = loops("pico")
    try:
        assert machine.counter is not None
        machine.counter.enable(True)
        machine.read(0)
        overhead = 9 + 4 + 2
        assert dict(machine.counter.layers())[0] - overhead == pytest.approx(2576, abs=6)
    finally:
        machine.close()


def test_counting_is_fast_enough(loops: Callable[..., CortexM]) -> None:
    """Tens of millions of instructions a second; the bound is loose because machines are busy."""
    machine = loops("pico", 10_000_000)
    try:
        assert machine.counter is not None
        machine.counter.enable(True)
        start = time.perf_counter()
        machine.read(0)
        seconds = time.perf_counter() - start
        assert dict(machine.counter.instructions())[1] == 4 + 2 * 10_000_000
        assert 20_000_000 / seconds > 4e6
    finally:
        machine.close()


@pytest.mark.parametrize(
    ("text", "cycles", "taken"),
    [
        ("adds r0, r0, r1", 1, 0),
        ("muls r0, r1, r0", 1, 0),
        ("ldr r0, [r1, #4]", 2, 0),
        ("strb r0, [r1, #4]", 2, 0),
        ("ldm r0!, {r1, r2, r3}", 4, 0),
        ("stm r0!, {r1, r2, r3}", 4, 0),
        ("push {r4, r5, lr}", 4, 0),
        ("pop {r4, r5}", 3, 0),
        ("pop {r4, r5, pc}", 6, 0),
        ("b #0x100", 1, 1),
        ("bne #0x100", 1, 1),
        ("bl #0x100", 3, 0),
        ("bx lr", 2, 0),
        ("blx r3", 2, 0),
        ("mov pc, r0", 2, 0),
        ("dmb sy", 3, 0),
    ],
)
def test_m0plus_table(text: str, cycles: int, taken: int) -> None:
    mnemonic, _, operands = text.partition(" ")
    cost = m0plus(mnemonic, operands, None)
    assert (cost.cycles, cost.taken) == (cycles, taken)


@pytest.mark.parametrize(
    ("text", "before", "cycles"),
    [
        ("smlad r0, r1, r2, r0", None, 1),
        ("mla r0, r1, r2, r0", None, 1),
        ("ldr r0, [r1]", None, 2),
        ("ldr r0, [r1]", "r2", 1),
        ("ldr r0, [r1]", "r1", 2),
        ("ldr pc, [r1]", None, 4),
        ("ldrd r0, r1, [r2]", None, 3),
        ("str r0, [r1]", None, 1),
        ("ldm r0!, {r1, r2, r3}", None, 4),
        ("vldmia r0!, {d0, d1}", None, 5),
        ("vldmia r0!, {s0, s1}", None, 3),
        ("pop {r4, pc}", None, 5),
        ("udiv r0, r0, r1", None, 7),
        ("vadd s0, s1, s2", None, 1),
        ("vmla s0, s1, s2", None, 3),
        ("vdiv s0, s1, s2", None, 14),
        ("vsqrt s0, s1", None, 14),
        ("vstr s0, [r0]", None, 2),
        ("bl #0x100", None, 3),
        ("bx lr", None, 3),
    ],
)
def test_m4_table(text: str, before: str | None, cycles: int) -> None:
    mnemonic, _, operands = text.partition(" ")
    assert m4(mnemonic, operands, None if before is None else frozenset([before])).cycles == cycles


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("mul r0, r1, r2", 1),
        ("mla r0, r1, r2, r0", 2),
        ("mls r0, r1, r2, r0", 2),
        ("umull r0, r1, r2, r3", 4),
        ("smlal r0, r1, r2, r3", 5),
        ("ssat r0, #8, r1", 1),
        ("ldr r0, [r1]", 2),
        ("bx lr", 3),
    ],
)
def test_m3_differs_from_m4_in_its_multiplier(text: str, cycles: int) -> None:
    mnemonic, _, operands = text.partition(" ")
    assert m3(mnemonic, operands, None).cycles == cycles


def test_unknown_instructions_are_not_guessed() -> None:
    model = CostModel(load_core("cortex-m0plus"))
    with pytest.raises(EdgebitError, match="no cost is known for the instruction at 0x102"):
        model.block(0x100, bytes.fromhex("0020 ffff ffff"))
    assert count_thumb(bytes.fromhex("0020 00f000f8 0020")) == 3
    assert CostModel(load_core("cortex-a76")).block(0, bytes(16)).instructions == 4
