"""A static 32-bit Arm Linux program (Thumb code) in Unicorn."""

from __future__ import annotations

from typing import Any, ClassVar

import unicorn
from unicorn import arm_const

from edgebit.board import Board
from edgebit.devices.unicorn_a64 import Aarch64Linux
from edgebit.devices.unicorn_base import Uc, model_constant


class Arm32Linux(Aarch64Linux):
    """A program of a 32-bit Raspberry Pi. Call numbers: arch/arm/tools/syscall.tbl of Linux."""

    pc_register = arm_const.UC_ARM_REG_PC
    argument_register = arm_const.UC_ARM_REG_R0
    sp_register = arm_const.UC_ARM_REG_SP
    call_registers = (arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1, arm_const.UC_ARM_REG_R2)
    number_register = arm_const.UC_ARM_REG_R7
    calls: ClassVar[dict[int, str]] = {3: "read", 4: "write", 1: "exit", 248: "exit"}
    word_bytes = 4
    stack_top = 0x7F00_0000
    elf_machine = "EM_ARM"
    machine_name = "32-bit Arm"
    thumb = True

    def _processor(self, board: Board) -> Any:
        uc: Any = Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        uc.ctl_set_cpu_model(model_constant(arm_const, "UC_CPU_ARM_", board.core))
        return uc

    def _enable_vectors(self) -> None:
        enable_vectors(self._uc)


def enable_vectors(uc: Any) -> None:
    """Let a program use the vector registers: CPACR.cp10 and cp11, and FPEXC.EN."""
    cpacr = (15, 0, 0, 1, 0, 0, 2)  # p15, 32 bits, not secure, c1, c0, 0, 2
    uc.reg_write(arm_const.UC_ARM_REG_CP_REG, (*cpacr, 0xF << 20))
    uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
