"""The worst-case stack of a whole linked program.

Every function reachable from the entry point is walked (see frames.py) and the deepest chain of calls is
taken, each call at the depth the caller has at that point. Recursion and calls to unknown addresses are
refused with the functions' names. On Cortex-M the frame that an exception pushes is added, and the deepest
handler in the vector table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgebit.core import Core
from edgebit.errors import ToolchainError
from edgebit.toolchain.elf import Function, Image
from edgebit.toolchain.frames import SWITCH_HELPERS, Frame, analyse

EXCEPTION_FRAME = 36
"""Bytes an exception pushes: 8 words and 4 bytes of alignment (Armv7-M ARM DDI 0403, B1.5.6)."""

EXCEPTION_FRAME_FP = 108
"""The same with floating-point state: 26 words and 4 bytes of alignment (B1.5.7)."""

_VECTORS = "eb_vectors"


@dataclass(frozen=True)
class StackReport:
    """bytes = program + exception. path: the functions of the deepest chain from the entry point, each with
    the stack it has in use when the next one is called (the last one: its deepest). frames: the most stack
    each reachable function uses itself."""

    bytes: int
    program: int
    exception: int
    path: tuple[tuple[str, int], ...]
    frames: dict[str, int]


class CallGraph:
    """The calls of an image, walked on demand. `worst` holds what `deepest` has settled, by function start."""

    def __init__(self, image: Image, core: Core) -> None:
        self.image = image
        self.core = core
        self.frames: dict[int, Frame] = {}
        self.worst: dict[int, tuple[int, Frame, int | None, int]] = {}
        self.entry = image.entry

    def function(self, target: int, origin: str) -> Function:
        f = self.image.function_at(target)
        if f is None:
            raise ToolchainError(
                f"{self.image.path.name}: {origin} calls 0x{target:08x}, which is in no function; assembly "
                "needs .type and .size"
            )
        return f

    def frame(self, f: Function) -> Frame:
        if f.start not in self.frames:
            self.frames[f.start] = analyse(self.image, self.core, f, is_entry=f.start == self.entry)
        return self.frames[f.start]

    def deepest(self, f: Function) -> int:
        """Bytes of stack from entering f to the deepest point below it."""
        order: list[Function] = [f]
        open_calls: dict[int, list[Function]] = {}
        chain: list[Function] = []
        while order:
            g = order[-1]
            if g.start in self.worst:
                order.pop()
                continue
            if g.start not in open_calls:
                chain.append(g)
                open_calls[g.start] = self._callees(self.frame(g))
            todo = [c for c in open_calls[g.start] if c.start not in self.worst]
            if todo:
                again = next((k for k, c in enumerate(chain) if c.start == todo[0].start), None)
                if again is not None:
                    names = [c.name for c in chain[again:]] + [todo[0].name]
                    raise ToolchainError(
                        f"{self.image.path.name}: recursion has no stack bound: {' -> '.join(names)}",
                        details={"functions": names},
                    )
                order.append(todo[0])
                continue
            self._close(g)
            chain.pop()
            order.pop()
        return self.worst[f.start][0]

    def _callees(self, frame: Frame) -> list[Function]:
        found = {c.start: c for c in (self._callee(frame, call.target) for call in frame.calls) if c}
        return [found[k] for k in sorted(found)]

    def _callee(self, frame: Frame, target: int) -> Function | None:
        f = self.function(target, frame.function.name)
        helper = f.name.startswith(SWITCH_HELPERS)
        return None if f.start == frame.function.start and target != f.start and not helper else f

    def _close(self, f: Function) -> None:
        frame = self.frame(f)
        best: tuple[int, int | None, int] = (frame.depth, None, frame.depth)
        for call in frame.calls:
            callee = self._callee(frame, call.target)
            if callee is None:
                continue
            total = call.depth + self.worst[callee.start][0]
            if total > best[0]:
                best = (total, callee.start, call.depth)
        self.worst[f.start] = (best[0], frame, best[1], best[2])

    def depth_of(self, name: str) -> int:
        """Bytes of stack from entering the named function to the deepest point below it."""
        return self.deepest(self.function(self.image.symbol(name).address & ~1, "a look-up"))

    def reachable(self, f: Function) -> set[str]:
        """Names of all functions f may call, directly or not."""
        seen: dict[int, Function] = {f.start: f}
        work = [f]
        while work:
            for c in self._callees(self.frame(work.pop())):
                if c.start not in seen:
                    seen[c.start] = c
                    work.append(c)
        return {g.name for g in seen.values() if g.start != f.start}

    def path(self, f: Function) -> tuple[tuple[str, int], ...]:
        found: list[tuple[str, int]] = []
        at: int | None = f.start
        while at is not None:
            _, frame, following, used = self.worst[at]
            found.append((frame.function.name, used))
            at = following
        return tuple(found)


def stack_usage(path: Path, core: Core, *, entry: str | None = None) -> StackReport:
    """The worst-case stack of an image from its entry point, or from the function `entry`."""
    image = Image(path)
    if image.machine not in ("arm", "aarch64"):
        raise ToolchainError(f"{path.name}: the stack of {image.machine} programs is not analysed")
    graph = CallGraph(image, core)
    root = graph.function(image.symbol(entry).address & ~1 if entry else image.entry, "the entry point")
    program = graph.deepest(root)
    exception = 0
    if core.is_cortex_m:
        exception = EXCEPTION_FRAME_FP if "fp" not in core.forbidden and _has_fpu(core) else EXCEPTION_FRAME
        exception += max((graph.deepest(h) for h in _handlers(image)), default=0)
    return StackReport(
        bytes=program + exception,
        program=program,
        exception=exception,
        path=graph.path(root),
        frames={f.function.name: f.depth for _, f in sorted(graph.frames.items())},
    )


def _has_fpu(core: Core) -> bool:
    """Cortex-M cores with an FPU are those compiled for the hard-float calling convention."""
    return str(core.zig.get("target", "")).endswith("eabihf")


def _handlers(image: Image) -> list[Function]:
    """Exception handlers other than reset, from the vector table."""
    table = next((s for s in image.symbols if s.name == _VECTORS), None)
    if table is None:
        return []
    words = image.read(table.address, table.size)
    found: dict[int, Function] = {}
    for k in range(8, len(words), 4):
        target = int.from_bytes(words[k : k + 4], "little") & ~1
        f = image.function_at(target) if target else None
        if f is not None:
            found[f.start] = f
    return [found[k] for k in sorted(found)]
