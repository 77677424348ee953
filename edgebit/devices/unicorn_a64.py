"""A static AArch64 Linux program in Unicorn, with the three system calls that EdgeBit's Linux port makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm64_const

from edgebit.board import Board
from edgebit.devices.unicorn_base import Machine, Uc, UcError, model_constant
from edgebit.errors import WrongBoardError

_PAGE = 0x1000
_STACK_BYTES = 8 << 20
_EBADF, _EFAULT = 9, 14
_MOST = 1 << 30
_R, _W, _X = 4, 2, 1


class Aarch64Linux(Machine):
    """A program of a 64-bit Raspberry Pi, fed through its standard input and output.

    mark: address of eb_mark, for counting. Class attributes hold what differs between Linux's Arm machines;
    call numbers are those of include/uapi/asm-generic/unistd.h of Linux.
    """

    pc_register = arm64_const.UC_ARM64_REG_PC
    argument_register = arm64_const.UC_ARM64_REG_X0
    sp_register = arm64_const.UC_ARM64_REG_SP
    call_registers = tuple(arm64_const.UC_ARM64_REG_X0 + i for i in range(3))
    number_register = arm64_const.UC_ARM64_REG_X8
    calls: ClassVar[dict[int, str]] = {63: "read", 64: "write", 93: "exit", 94: "exit"}
    word_bytes = 8
    stack_top = 0x7F_0000_0000
    elf_machine = "EM_AARCH64"
    machine_name = "AArch64"

    def __init__(
        self, board: Board, elf: Path, *, mark: int | None = None, hang_seconds: float = 600.0
    ) -> None:
        uc = self._processor(board)
        super().__init__(uc, board.core, f"the emulated {board.name}", mark, hang_seconds)
        self._received = bytearray()
        self._sent = bytearray()
        self._reading: tuple[int, int] | None = None  # (address, length) of a read that waits for input
        try:
            self._load(board, elf)
        except BaseException:
            self.close()
            raise
        uc.hook_add(unicorn.UC_HOOK_INTR, self._system_call)

    def _processor(self, board: Board) -> Any:
        """An emulator with the board's CPU model."""
        uc: Any = Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(model_constant(arm64_const, "UC_CPU_ARM64_", board.core))
        return uc

    def _enable_vectors(self) -> None:
        """Let the program use the vector registers, as Linux does: CPACR_EL1.FPEN."""
        value = self._uc.reg_read(arm64_const.UC_ARM64_REG_CPACR_EL1)
        self._uc.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, value | 3 << 20)

    def _load(self, board: Board, elf: Path) -> None:
        with elf.open("rb") as f:
            program = ELFFile(f)
            kind = (program["e_machine"], program["e_type"])
            if kind != (self.elf_machine, "ET_EXEC"):
                raise WrongBoardError(
                    f"{elf} is not a static {self.machine_name} program for the {board.title}: {kind}"
                )
            self._pc = int(program["e_entry"]) & (~1 if self.thumb else -1)
            pages: dict[int, int] = {}
            segments = [s for s in program.iter_segments() if s["p_type"] == "PT_LOAD"]
            for s in segments:
                first = s["p_vaddr"] & -_PAGE
                for page in range(first, s["p_vaddr"] + s["p_memsz"], _PAGE):
                    pages[page] = pages.get(page, 0) | s["p_flags"]
            for start, length, flags in _runs(pages):
                self._uc.mem_map(start, length, _protection(flags))
            for s in segments:
                self._uc.mem_write(s["p_vaddr"], s.data())
        self._uc.mem_map(self.stack_top - _STACK_BYTES, _STACK_BYTES)
        # argc 1, argv {name, 0}, envp {0}, auxv {AT_PAGESZ 6, AT_NULL 0}
        name = self.stack_top - 16
        self._uc.mem_write(name, b"edgebit\0")
        words = [1, name, 0, 0, 6, _PAGE, 0, 0]
        sp = name - self.word_bytes * len(words)
        self._uc.mem_write(sp, b"".join(w.to_bytes(self.word_bytes, "little") for w in words))
        self._uc.reg_write(self.sp_register, sp)
        self._enable_vectors()

    def _system_call(self, uc: Any, number: int, _user: Any) -> None:
        if number != 2:  # EXCP_SWI of QEMU's Arm target; anything else is a fault
            self.end(f"crashed: exception {number} at {uc.reg_read(self.pc_register):#x}")
            return
        x = [uc.reg_read(r) for r in self.call_registers]
        wanted = uc.reg_read(self.number_register)
        call = self.calls.get(wanted)
        if call == "read" and x[0] == 0:
            if self._received:
                self._return(self._give(x[1], x[2]))
            else:
                self._reading = (x[1], x[2])
                self.stop()
        elif call == "write" and x[0] in (1, 2):
            self._return(self._take(x[1], x[2]))
        elif call in ("read", "write"):
            self._return(-_EBADF)
        elif call == "exit":
            self.end(f"ended with {x[0] & 0xFF}")
        else:
            self.end(
                f"made system call {wanted}, which is not emulated, at {uc.reg_read(self.pc_register):#x}"
            )

    def _give(self, address: int, length: int) -> int:
        data = bytes(self._received[: min(length, _MOST)])
        try:
            self._uc.mem_write(address, data)
        except UcError:
            return -_EFAULT
        del self._received[: len(data)]
        return len(data)

    def _take(self, address: int, length: int) -> int:
        try:
            data = bytes(self._uc.mem_read(address, min(length, _MOST)))
        except UcError:
            return -_EFAULT
        self._sent += data
        return len(data)

    def _return(self, value: int) -> None:
        self._uc.reg_write(self.argument_register, value & (1 << 8 * self.word_bytes) - 1)

    def _resume(self) -> None:
        if self._reading is None:
            return
        if self._received:
            address, length = self._reading
            self._reading = None
            self._return(self._give(address, length))
        else:
            self._idle = True

    def _deliver(self, data: bytes) -> None:
        self._received += data

    def _collect(self) -> bytes:
        data = bytes(self._sent)
        self._sent.clear()
        return data

    def _collectable(self) -> bool:
        return bool(self._sent)


def _runs(pages: dict[int, int]) -> list[tuple[int, int, int]]:
    """Neighbouring pages of equal flags, as (start, length, flags)."""
    out: list[tuple[int, int, int]] = []
    for page in sorted(pages):
        if out and out[-1][0] + out[-1][1] == page and out[-1][2] == pages[page]:
            out[-1] = (out[-1][0], out[-1][1] + _PAGE, pages[page])
        else:
            out.append((page, _PAGE, pages[page]))
    return out


def _protection(flags: int) -> int:
    """Unicorn's protection bits for ELF's."""
    kinds = ((_R, unicorn.UC_PROT_READ), (_W, unicorn.UC_PROT_WRITE), (_X, unicorn.UC_PROT_EXEC))
    return sum(p for f, p in kinds if flags & f)
