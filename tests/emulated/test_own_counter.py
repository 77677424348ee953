"""A board that counts its own cycles: the firmware's reading of a modelled counter against the emulator's count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import unicorn

from edgebit.bench.folder import ExportFolder, open_export
from edgebit.bench.measure import WALL_CLOCK, measure
from edgebit.board import load_board
from edgebit.devices.link import UNKNOWN, Link
from edgebit.devices.open import MARK, Device
from edgebit.devices.own_counter import MEASURED, OwnCounter
from edgebit.devices.unicorn_m import CortexM
from edgebit.toolchain.build import build_export
from edgebit.toolchain.elf import Image

DEMCR, TRCENA = 0xE000EDFC, 1 << 24
CTRL, CYCCNT, LAR, KEY = 0xE0001000, 0xE0001004, 0xE0001FB0, 0xC5ACCE55
OWN = 40  # instructions of a layer that are the counting itself, at most
UNSEEN = 0.05  # those of a layer that Unicorn shows no hook: in IT blocks whose condition fails


class Dwt:
    """CYCCNT of a Cortex-M7, a cycle an instruction: it counts once its key, TRCENA and CYCCNTENA are given."""

    def __init__(self, uc: Any) -> None:
        self.uc, self.now, self.start, self.open, self.full = uc, 0, 0, False, False
        uc.hook_add(unicorn.UC_HOOK_CODE, self._tick)
        uc.hook_add(unicorn.UC_HOOK_MEM_READ, self._read, None, CYCCNT, CYCCNT + 3)
        uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._write, None, CTRL, LAR + 3)

    def _tick(self, *_: Any) -> None:
        self.now += 1

    def _word(self, address: int) -> int:
        return int.from_bytes(self.uc.mem_read(address, 4), "little")

    def _read(self, *_: Any) -> None:
        if self.open and self._word(DEMCR) & TRCENA and self._word(CTRL) & 1:
            count = 0xFFFFFFFF if self.full else self.now - self.start & 0xFFFFFFFF
            self.uc.mem_write(CYCCNT, count.to_bytes(4, "little"))

    def _write(self, _uc: Any, _access: int, address: int, _size: int, value: int, _user: Any) -> None:
        if address == LAR:
            self.open = value & 0xFFFFFFFF == KEY
        elif address == CYCCNT:
            self.start = self.now - value


@pytest.fixture(scope="module")
def folder(digits: Callable[[str], Path]) -> ExportFolder:
    return open_export(digits("nucleo-h743zi"))


@pytest.fixture
def machine(folder: ExportFolder) -> Iterator[CortexM]:
    built = build_export(folder.path)
    made = CortexM(
        load_board("nucleo-h743zi"), built.bin.read_bytes(), mark=Image(built.elf).symbol(MARK).address
    )
    yield made
    made.close()


def test_cycles_of_layers_are_those_that_passed(folder: ExportFolder, machine: CortexM) -> None:
    """Layer by layer what the emulator counts from outside, and a little for the reading; hashing is in neither."""
    Dwt(machine._uc)
    link = Link(machine, board="nucleo-h743zi")
    assert link.hello().cycle_source == "DWT"
    assert machine.counter is not None
    machine.counter.enable(True)
    own = Device(load_board("nucleo-h743zi"), link, OwnCounter(link), None)
    result = measure(folder, own, folder.vectors[0], 2)
    outside = dict(machine.counter.layers())
    assert (result.metric, result.runs) == (MEASURED, 2)
    assert len(result.layers) == len(outside) == len(folder.manifest["layers"])
    for index, row in enumerate(result.layers):
        assert -UNSEEN * outside[index] <= row["value"] - outside[index] <= OWN, row
    for k, i in enumerate(folder.graph.inputs):
        link.write_input(k, folder.vectors[0][i].tobytes())
    link.run(hash_layers=True)
    assert [n for _, n in OwnCounter(link).layers()] == [row["value"] for row in result.layers]


def test_a_core_without_a_counter_says_so(folder: ExportFolder, machine: CortexM) -> None:
    link = Link(machine, board="nucleo-h743zi")
    assert link.hello().cycle_source == "none"
    own = Device(load_board("nucleo-h743zi"), link, OwnCounter(link), None)
    result = measure(folder, own, folder.vectors[0])
    assert result.metric == f"{WALL_CLOCK} with the link"
    assert [row["value"] for row in result.layers] == [None] * len(result.layers)
    assert link.cycles() == []


def test_more_than_the_counter_tells_is_no_number(folder: ExportFolder, machine: CortexM) -> None:
    dwt = Dwt(machine._uc)
    link = Link(machine, board="nucleo-h743zi")
    assert link.hello().cycle_source == "DWT"
    dwt.full = True
    own = Device(load_board("nucleo-h743zi"), link, OwnCounter(link), None)
    assert measure(folder, own, folder.vectors[0]).metric == f"{WALL_CLOCK} with the link"
    assert set(link.cycles()) == {UNKNOWN}
