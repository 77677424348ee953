"""How deep one function's stack gets, and where: a walk over its decoded instructions.

The walk follows every path from the function's entry and keeps, for each instruction, how many bytes lie
below the entry's stack pointer and which registers hold a known constant or a known place in the frame.
That resolves pushes, fixed frames of any size, frame pointers, calls through a register that holds a known
address, and long-branch veneers. What it cannot follow is refused by name, never guessed.

Jump tables: their targets are all code of the function that no other path reaches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgebit.core import Core
from edgebit.errors import ToolchainError
from edgebit.toolchain.decode import instructions
from edgebit.toolchain.elf import CodeRange, Function, Image

SWITCH_HELPERS = ("__gnu_thumb1_case_", "__switch")
"""Library helpers that a `bl` calls to jump through the table behind it; they come back elsewhere."""

_DEEPEST = 1 << 24
_VISITS = 64


@dataclass(frozen=True)
class Value:
    """What a register holds. base "number": the value `number`. base "stack": the entry's stack pointer less
    `number`; `low` is how many low bits were shifted out of it (alignment in two steps)."""

    base: str
    number: int
    low: int = 0


@dataclass
class State:
    """Bytes of stack in use, and registers with a known value, by the decoder's register number."""

    depth: int = 0
    regs: dict[int, Value] = field(default_factory=dict)

    def copy(self) -> State:
        return State(self.depth, dict(self.regs))

    def join(self, other: State) -> bool:
        """Make this state cover `other` too; True when that changed it."""
        depth = max(self.depth, other.depth)
        regs = {r: v for r, v in self.regs.items() if other.regs.get(r) == v}
        changed = depth != self.depth or len(regs) != len(self.regs)
        self.depth, self.regs = depth, regs
        return changed


@dataclass(frozen=True)
class Call:
    """A call or jump out of a function with `depth` bytes of its stack in use."""

    address: int
    target: int
    depth: int


@dataclass(frozen=True)
class Frame:
    """What the walk found: the most bytes the function itself uses, and where it calls."""

    function: Function
    depth: int
    calls: tuple[Call, ...]


@dataclass
class Effect:
    """What one instruction does to control flow. `after` says whether the next instruction can follow."""

    after: bool = True
    jumps: tuple[int, ...] = ()
    call: int | None = None
    dispatch: bool = False


class Walk:
    """The machine-independent part; Arm and AArch64 fill in `step`."""

    def __init__(self, image: Image, core: Core, function: Function, *, is_entry: bool) -> None:
        self.image = image
        self.core = core
        self.function = function
        self.is_entry = is_entry
        self.code: dict[int, Any] = {}
        for span in image.code_ranges:
            lo, hi = max(span.start, function.start), min(span.end, function.end)
            if span.kind != "data" and lo < hi:
                for insn in instructions(image, core, CodeRange(lo, hi, span.kind), detail=True):
                    self.code[insn.address] = insn
        self.states: dict[int, State] = {}
        self.visits: dict[int, int] = {}
        self.calls: dict[tuple[int, int], int] = {}
        self.deepest = 0
        self.dispatched: State | None = None

    def run(self) -> Frame:
        if not self.code:
            raise ToolchainError(f"{self.function.name} at 0x{self.function.start:08x} holds no code")
        self._follow(self.function.start, State(), linked=True)
        for address in sorted(self.code):
            if address in self.states or self._is_filler(self.code[address]):
                continue
            known = self.dispatched is not None
            self._follow(address, self.dispatched.copy() if self.dispatched else State(), linked=known)
        return Frame(
            self.function,
            self.deepest,
            tuple(Call(at, target, depth) for (at, target), depth in sorted(self.calls.items())),
        )

    def refuse(self, insn: Any, why: str) -> ToolchainError:
        return ToolchainError(
            f"{self.image.path.name}: cannot bound the stack of {self.function.name}: `{insn.mnemonic} "
            f"{insn.op_str}` at 0x{insn.address:08x} {why}",
            details={"function": self.function.name, "address": insn.address},
        )

    def _is_filler(self, insn: Any) -> bool:
        return insn.mnemonic.startswith("nop") or insn.op_str == "r8, r8" or not any(insn.bytes)

    def _follow(self, start: int, state: State, *, linked: bool) -> None:
        """Walk from `start`. linked: running off the function's end means running into the next one."""
        work = [(start, state)]
        while work:
            address, state = work.pop()
            insn = self.code.get(address)
            if insn is None:
                if linked and address >= self.function.end and self._follows(address):
                    self._note(address, address, state.depth)
                continue
            seen = self.states.get(address)
            if seen is None:
                seen = self.states[address] = state.copy()
            elif not seen.join(state):
                continue
            self.visits[address] = self.visits.get(address, 0) + 1
            if self.visits[address] > _VISITS or seen.depth > _DEEPEST:
                raise self.refuse(insn, "is in a loop that uses more stack each time round")
            now = seen.copy()
            effect = self.step(insn, now)
            if self.is_conditional(insn):
                now.join(seen)
                effect.after = True
            self.deepest = max(self.deepest, now.depth)
            if effect.dispatch:
                if self.dispatched is None:
                    self.dispatched = now.copy()
                else:
                    self.dispatched.join(now)
            follow = list(effect.jumps)
            if effect.call is not None and self._is_far_jump(effect.call):
                follow.append(effect.call)
                effect.call, effect.after = None, False
            if effect.call is not None:
                self._note(insn.address, effect.call, now.depth)
                if self._is_switch_helper(effect.call):
                    self.dispatched = now.copy()
                    effect.after = False
            after = insn.address + insn.size
            if effect.after and not (effect.call is not None and after not in self.code):
                follow.append(after)
            for target in follow:
                if self.function.start <= target < self.function.end or target == after:
                    work.append((target, now.copy()))
                else:
                    self._note(insn.address, target, now.depth)

    def _follows(self, address: int) -> bool:
        f = self.image.function_at(address)
        return f is not None and f.start == address

    def _is_far_jump(self, target: int) -> bool:
        """Whether a `bl` only jumps: Thumb-1 compilers use it where `b` does not reach within a function."""
        f = self.image.function_at(target)
        return target != self.function.start and f is not None and f.start == self.function.start

    def _is_switch_helper(self, target: int) -> bool:
        f = self.image.function_at(target)
        return f is not None and f.name.startswith(SWITCH_HELPERS)

    def _note(self, at: int, target: int, depth: int) -> None:
        self.calls[at, target] = max(depth, self.calls.get((at, target), 0))

    def move_sp(self, insn: Any, state: State, value: Value | None) -> None:
        """The instruction sets the stack pointer to `value`."""
        if value is not None and value.base == "stack" and value.low == 0:
            state.depth = max(0, value.number)
        elif value is not None and value.base == "number" and self.is_entry:
            state.depth = 0  # reset puts the stack at the top of memory
        else:
            raise self.refuse(insn, "moves the stack pointer by an amount not known before it runs")

    def align_down(self, value: Value | None, low_bits: int) -> Value | None:
        """A value with its low bits cleared: on the stack, up to that much is lost."""
        if value is None:
            return None
        if value.base == "stack":
            return Value("stack", value.number + (1 << low_bits) - 1)
        return Value("number", value.number >> low_bits << low_bits)

    def step(self, insn: Any, state: State) -> Effect:
        raise NotImplementedError

    def is_conditional(self, insn: Any) -> bool:
        """Whether the instruction may do nothing (inside an IT block)."""
        return False


def combine(a: Value | None, b: Value | None, sign: int) -> Value | None:
    """a + b or a - b, where that is known."""
    if a is None or b is None or a.low or b.low:
        return None
    if a.base == "number" and b.base == "number":
        return Value("number", a.number + sign * b.number)
    if a.base == "stack" and b.base == "number":
        return Value("stack", a.number - sign * b.number)
    if a.base == "number" and b.base == "stack" and sign > 0:
        return Value("stack", b.number - a.number)
    return None


def analyse(image: Image, core: Core, function: Function, *, is_entry: bool = False) -> Frame:
    """The frame of one function."""
    from edgebit.toolchain.frames_a64 import WalkA64
    from edgebit.toolchain.frames_arm import WalkArm

    kind = WalkA64 if image.machine == "aarch64" else WalkArm
    return kind(image, core, function, is_entry=is_entry).run()
