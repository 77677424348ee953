"""The stack effects of AArch64 instructions."""

from __future__ import annotations

from typing import Any

from capstone import arm64 as a

from edgebit.toolchain.frames import Effect, State, Value, Walk, combine

_SP = a.ARM64_REG_SP
_LR = a.ARM64_REG_X30
_CALL_RESULTS = tuple(getattr(a, f"ARM64_REG_X{k}") for k in range(8))
_REG, _IMM, _MEM = a.ARM64_OP_REG, a.ARM64_OP_IMM, a.ARM64_OP_MEM
_JUMPS = (a.ARM64_INS_B, a.ARM64_INS_CBZ, a.ARM64_INS_CBNZ, a.ARM64_INS_TBZ, a.ARM64_INS_TBNZ)


class WalkA64(Walk):
    """AArch64."""

    def wide(self, insn: Any, reg: int) -> int:
        """The 64-bit register that a w register is the low half of (writing it clears the rest)."""
        name = str(insn.reg_name(reg))
        if name.startswith("w") and name[1:].isdigit():
            n = int(name[1:])
            if n == 29:
                return int(a.ARM64_REG_X29)
            return _LR if n == 30 else int(getattr(a, f"ARM64_REG_X{n}"))
        return reg

    def value(self, insn: Any, op: Any, state: State) -> Value | None:
        if op.type == _IMM:
            shift = int(op.shift.value) if op.shift.type == a.ARM64_SFT_LSL else 0
            return Value("number", int(op.imm) << shift)
        if op.type != _REG or op.shift.type != 0 or (op.ext not in (0, a.ARM64_EXT_UXTX)):
            return None
        if op.reg == _SP:
            return Value("stack", state.depth)
        return state.regs.get(self.wide(insn, op.reg))

    def step(self, insn: Any, state: State) -> Effect:
        ops, kind = insn.operands, insn.id
        if kind in _JUMPS:
            conditional = kind != a.ARM64_INS_B or insn.cc not in (
                a.ARM64_CC_INVALID,
                a.ARM64_CC_AL,
                a.ARM64_CC_NV,
            )
            return Effect(after=conditional, jumps=(int(ops[-1].imm),))
        if kind == a.ARM64_INS_BL:
            return self._call(int(ops[0].imm), state)
        if kind == a.ARM64_INS_BLR:
            v = state.regs.get(ops[0].reg)
            if v is None or v.base != "number":
                raise self.refuse(insn, "calls an address not known before it runs")
            return self._call(v.number, state)
        if kind == a.ARM64_INS_BR:
            v = state.regs.get(ops[0].reg)
            if v is not None and v.base == "number":
                return Effect(after=False, jumps=(v.number,))
            if self._from_table(insn):
                return Effect(after=False, dispatch=True)
            raise self.refuse(insn, "jumps to an address not known before it runs")
        if kind in (a.ARM64_INS_RET, a.ARM64_INS_BRK, a.ARM64_INS_UDF, a.ARM64_INS_HLT):
            return Effect(after=False)
        if insn.writeback and any(o.type == _MEM and o.mem.base == _SP for o in ops):
            moved = int(ops[-1].imm) if insn.post_index else int(ops[-1].mem.disp)
            state.depth = max(0, state.depth - moved)
            if insn.mnemonic.startswith("ld"):
                for o in ops:
                    if o.type == _REG:
                        state.regs.pop(self.wide(insn, o.reg), None)
            return Effect()
        self._compute(insn, state)
        return Effect()

    def _call(self, target: int, state: State) -> Effect:
        for r in _CALL_RESULTS:
            state.regs.pop(r, None)
        return Effect(call=target)

    def _from_table(self, insn: Any) -> bool:
        """Whether `br x` jumps to a base in this function plus an entry of a table: shortly before, x was
        made by an addition to an `adr`."""
        bases: set[int] = set()
        summed = False
        for address in range(insn.address - 32, insn.address, 4):
            near = self.code.get(address)
            if near is None:
                continue
            ops = near.operands
            if near.id == a.ARM64_INS_ADR:
                bases.add(ops[0].reg)
            elif near.id == a.ARM64_INS_ADD and ops[0].reg == insn.operands[0].reg:
                summed = any(o.type == _REG and o.reg in bases for o in ops[1:])
        return summed

    def _compute(self, insn: Any, state: State) -> None:
        ops, kind = insn.operands, insn.id
        written = {self.wide(insn, int(r)) for r in insn.regs_access()[1]}
        if not ops or ops[0].type != _REG or self.wide(insn, ops[0].reg) not in written:
            self._forget(insn, state, written)
            return
        dest = self.wide(insn, ops[0].reg)
        args = [self.value(insn, o, state) for o in ops[1:]]
        old = state.regs.get(dest)
        result: Value | None = None
        if kind in (a.ARM64_INS_ADD, a.ARM64_INS_SUB) and len(args) == 2:
            result = combine(args[0], args[1], 1 if kind == a.ARM64_INS_ADD else -1)
        elif kind in (a.ARM64_INS_MOV, a.ARM64_INS_MOVZ, a.ARM64_INS_ADR, a.ARM64_INS_ADRP):
            result = args[0] if len(args) == 1 else None
        elif kind == a.ARM64_INS_MOVK and old is not None and old.base == "number":
            shift = int(ops[1].shift.value)
            result = Value("number", old.number & ~(0xFFFF << shift) | int(ops[1].imm) << shift)
        elif kind == a.ARM64_INS_AND and ops[2].type == _IMM and (-int(ops[2].imm)).bit_count() == 1:
            result = self.align_down(args[0], (-int(ops[2].imm)).bit_length() - 1)
        releasing = dest == _SP and result is None and kind == a.ARM64_INS_ADD and ops[1].reg == _SP
        self._forget(insn, state, written - {_SP} if dest == _SP else written)
        if releasing:
            return  # an unknown part of the frame is given back: counting it as still used is safe
        if dest == _SP:
            self.move_sp(insn, state, result)
        elif result is not None:
            state.regs[dest] = result

    def _forget(self, insn: Any, state: State, written: set[int]) -> None:
        if _SP in written:
            raise self.refuse(insn, "moves the stack pointer in a way not understood")
        for r in written:
            state.regs.pop(r, None)
