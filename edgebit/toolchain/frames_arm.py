"""The stack effects of Thumb instructions (Armv6-M, Armv7-M, Armv8-M, Armv8.1-M)."""

from __future__ import annotations

from typing import Any

from capstone import arm as a

from edgebit.toolchain import decode_v81m
from edgebit.toolchain.frames import Effect, State, Value, Walk, combine

_SP, _PC, _LR = a.ARM_REG_SP, a.ARM_REG_PC, a.ARM_REG_LR
_CALL_RESULTS = (a.ARM_REG_R0, a.ARM_REG_R1, a.ARM_REG_R2, a.ARM_REG_R3)
_REG, _IMM, _MEM = a.ARM_OP_REG, a.ARM_OP_IMM, a.ARM_OP_MEM
_WORD = 0xFFFFFFFF
_CORE_REGS = (*(getattr(a, f"ARM_REG_R{i}") for i in range(13)), _SP, _LR)


def _signed(v: int) -> int:
    v &= _WORD
    return v - (1 << 32) if v >> 31 else v


def _bytes(cs: Any, regs: list[Any]) -> int:
    """Bytes a register list takes: 4 for a core or single register, 8 for a double."""
    return sum(8 if str(cs.reg_name(r.reg)).startswith("d") else 4 for r in regs)


class WalkArm(Walk):
    """Thumb."""

    def is_conditional(self, insn: Any) -> bool:
        if isinstance(insn, decode_v81m.Wide):
            return False  # none may be in an IT block; predication is by lane
        branch = insn.id in (a.ARM_INS_B, a.ARM_INS_CBZ, a.ARM_INS_CBNZ, a.ARM_INS_IT)
        return not branch and insn.cc not in (a.ARM_CC_AL, a.ARM_CC_INVALID)

    def value(self, op: Any, state: State) -> Value | None:
        """What an operand holds, where known."""
        if op.type == _IMM:
            return Value("number", int(op.imm))
        if op.type != _REG or op.shift.type != 0:
            return None
        if op.reg == _SP:
            return Value("stack", state.depth)
        return state.regs.get(op.reg)

    def literal(self, insn: Any, op: Any) -> Value | None:
        """The word a PC-relative load reads."""
        if op.mem.base != _PC or op.mem.index:
            return None
        at = ((insn.address + 4) & ~3) + op.mem.disp
        return Value("number", int.from_bytes(self.image.read(at, 4), "little"))

    def step(self, insn: Any, state: State) -> Effect:
        if isinstance(insn, decode_v81m.Wide):
            return self._wide(insn, state)
        ops, kind = insn.operands, insn.id
        if kind in (a.ARM_INS_PUSH, a.ARM_INS_VPUSH):
            state.depth += _bytes(insn, ops)
            return Effect()
        if kind in (a.ARM_INS_POP, a.ARM_INS_VPOP):
            state.depth = max(0, state.depth - _bytes(insn, ops))
            for r in ops:
                state.regs.pop(r.reg, None)
            return Effect(after=not any(r.reg == _PC for r in ops))
        if kind in (a.ARM_INS_B, a.ARM_INS_CBZ, a.ARM_INS_CBNZ):
            always = kind == a.ARM_INS_B and insn.cc in (a.ARM_CC_AL, a.ARM_CC_INVALID)
            return Effect(after=not always, jumps=(int(ops[-1].imm),))
        if kind in (a.ARM_INS_BL, a.ARM_INS_BLX, a.ARM_INS_BX):
            return self._branch(insn, state)
        if kind in (a.ARM_INS_TBB, a.ARM_INS_TBH):
            return Effect(after=False, dispatch=True)
        if kind in (a.ARM_INS_UDF,):
            return Effect(after=False)
        if insn.writeback and self._base(insn) == _SP:
            return self._writeback(insn, state)
        if ops and ops[0].type == _REG and ops[0].reg == _PC and kind != a.ARM_INS_CMP:
            return self._to_pc(insn, state)
        self._compute(insn, state)
        return Effect()

    def _wide(self, insn: decode_v81m.Wide, state: State) -> Effect:
        """Helium, loops and other additions of Armv8.1-M."""
        if decode_v81m.SP in insn.writes or insn.mnemonic == "branch-future":
            raise self.refuse(insn, "moves the stack pointer or jumps in a way not understood")
        for r in insn.writes:
            state.regs.pop(_CORE_REGS[r], None)
        return Effect(after=insn.after, jumps=() if insn.target is None else (insn.target,))

    def _branch(self, insn: Any, state: State) -> Effect:
        op = insn.operands[0]
        target: int | None = None
        if op.type == _IMM:
            target = int(op.imm) & ~1
        elif op.reg == _LR and insn.id == a.ARM_INS_BX:
            return Effect(after=False)
        else:
            v = state.regs.get(op.reg)
            if v is None or v.base != "number" or v.low:
                raise self.refuse(insn, "calls an address not known before it runs")
            target = v.number & _WORD & ~1
        if insn.id == a.ARM_INS_BX:
            return Effect(after=False, jumps=(target,))
        for r in _CALL_RESULTS:
            state.regs.pop(r, None)
        return Effect(call=target)

    def _base(self, insn: Any) -> int:
        for op in insn.operands:
            if op.type == _MEM:
                return int(op.mem.base)
        return int(insn.operands[0].reg) if insn.operands[0].type == _REG else 0

    def _writeback(self, insn: Any, state: State) -> Effect:
        """Loads and stores that move the stack pointer: str r, [sp, #-n]!, ldr r, [sp], #n, ldm, vldm."""
        ops = insn.operands
        memory = next((o for o in ops if o.type == _MEM), None)
        if memory is None:  # ldm, stm and their vector forms: the list follows the base
            n = _bytes(insn, ops[1:])
            down = insn.mnemonic.startswith(("stmdb", "vstmdb"))
            if not down and not insn.mnemonic.startswith(("ldm", "vldm")):
                raise self.refuse(insn, "moves the stack pointer in a way not understood")
            state.depth = state.depth + n if down else max(0, state.depth - n)
            written = [] if down else [o.reg for o in ops[1:]]
        else:
            moved = int(ops[-1].imm) if insn.post_index and ops[-1].type == _IMM else int(memory.mem.disp)
            if insn.post_index and ops[-1].type == _IMM and ops[-1].subtracted:
                moved = -moved
            state.depth = max(0, state.depth - moved)
            loads = insn.mnemonic.startswith("ldr")
            written = [o.reg for o in ops if o.type == _REG] if loads else []
        for r in written:
            state.regs.pop(r, None)
        return Effect(after=_PC not in written)

    def _to_pc(self, insn: Any, state: State) -> Effect:
        """Writes to PC that are not branches: returns, veneers with a literal, and jump tables."""
        ops = insn.operands
        if insn.id == a.ARM_INS_MOV and ops[1].type == _REG:
            if ops[1].reg == _LR:
                return Effect(after=False)
            v = state.regs.get(ops[1].reg)
            if v is not None and v.base == "number":
                return Effect(after=False, jumps=(v.number & ~1,))
            return Effect(after=False, dispatch=True)
        if insn.id == a.ARM_INS_LDR and ops[1].type == _MEM:
            v = self.literal(insn, ops[1])
            if v is not None:
                return Effect(after=False, jumps=(v.number & ~1,))
            if ops[1].mem.index:
                return Effect(after=False, dispatch=True)
            raise self.refuse(insn, "jumps to an address not known before it runs")
        if insn.id == a.ARM_INS_ADD:
            return Effect(after=False, dispatch=True)
        raise self.refuse(insn, "jumps in a way not understood")

    def _compute(self, insn: Any, state: State) -> None:
        """Arithmetic on known values; every other register written becomes unknown."""
        ops, kind = insn.operands, insn.id
        written = {int(r) for r in insn.regs_access()[1]}
        if not ops or ops[0].type != _REG or ops[0].reg not in written:
            self._forget(insn, state, written)
            return
        dest = ops[0].reg
        args = [self.value(o, state) for o in (ops[1:] if len(ops) > 2 else ops)]
        last = self.value(ops[-1], state) if len(ops) > 1 else None
        old = state.regs.get(dest)
        result: Value | None = None
        if kind in (a.ARM_INS_ADD, a.ARM_INS_ADDW) and len(args) == 2:
            result = combine(args[0], args[1], 1)
        elif kind in (a.ARM_INS_SUB, a.ARM_INS_SUBW) and len(args) == 2:
            result = combine(args[0], args[1], -1)
        elif kind in (a.ARM_INS_MOV, a.ARM_INS_MOVW) and len(ops) == 2:
            result = last
        elif kind == a.ARM_INS_MOVT and old is not None and old.base == "number":
            result = Value("number", old.number & 0xFFFF | int(ops[1].imm) << 16)
        elif kind == a.ARM_INS_LDR and len(ops) == 2 and ops[1].type == _MEM:
            result = self.literal(insn, ops[1])
        elif kind in (a.ARM_INS_LSL, a.ARM_INS_LSR) and len(args) == 2 and ops[-1].type == _IMM:
            result = self._shift(kind == a.ARM_INS_LSL, args[0], int(ops[-1].imm))
        elif kind == a.ARM_INS_MVN and last is not None and last.base == "number":
            result = Value("number", ~last.number)
        elif kind == a.ARM_INS_RSB and len(args) == 2:
            result = combine(args[1], args[0], -1)
        elif kind == a.ARM_INS_BFC and ops[1].imm == 0:
            result = self.align_down(old, int(ops[2].imm))
        elif kind == a.ARM_INS_BIC and ops[-1].type == _IMM and (int(ops[-1].imm) + 1).bit_count() == 1:
            result = self.align_down(args[0], int(ops[-1].imm).bit_length())
        if result is not None and result.base == "number":
            result = Value("number", _signed(result.number))
        self._forget(insn, state, written - {_SP} if dest == _SP else written)
        if dest == _SP:
            self.move_sp(insn, state, result)
        elif result is not None:
            state.regs[dest] = result

    def _shift(self, left: bool, v: Value | None, n: int) -> Value | None:
        if v is None:
            return None
        if v.base == "stack":  # lsrs then lsls: alignment on a core without BFC
            if left:
                return self.align_down(Value("stack", v.number), n) if v.low == n else None
            return Value("stack", v.number, n) if v.low == 0 else None
        return Value("number", v.number << n if left else (v.number & _WORD) >> n)

    def _forget(self, insn: Any, state: State, written: set[int]) -> None:
        if _SP in written:
            raise self.refuse(insn, "moves the stack pointer in a way not understood")
        for r in written:
            state.regs.pop(r, None)
