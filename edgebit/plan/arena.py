"""The static memory planner: gives every activation and scratch buffer its byte offset in one arena.

A `Block` is a piece of storage that lives from one step to another (both included); a step is a node in
execution order. Two blocks that live at the same step must not share a byte, with one exception: a
`Reuse` says that at one step the block `above` dies as an input while `below` is born as the output, and
that the kernel's order of reads and writes lets the output lie at any offset <= input offset + distance.

The planner tries several greedy orders, and a branch-and-bound search when none of them reaches the
lower bound. Everything is deterministic: equal inputs give equal offsets on every machine.

Offsets and sizes are multiples of `ALIGN`. A positive distance is used as 0 (the output never starts
above the input it overwrites), which changes the lower bound by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgebit.ir.graph import GraphError

ALIGN = 16
"""Alignment of every block, and the padding of its size, in bytes."""

SEARCH_WORK = 400_000
"""Search nodes times blocks after which the exact search settles for the best plan found."""

_SEARCH_DEPTH = 400
"""Problems of more blocks than this are left to the greedy orders."""


def align_up(n: int) -> int:
    """`n` rounded up to a multiple of ALIGN."""
    return (n + ALIGN - 1) // ALIGN * ALIGN


@dataclass(frozen=True)
class Block:
    """One piece of storage: `nbytes` (any number; it is padded), live from `start` to `end` inclusive."""

    name: str
    nbytes: int
    start: int
    end: int

    @property
    def size(self) -> int:
        return max(ALIGN, align_up(self.nbytes))


@dataclass(frozen=True)
class Reuse:
    """At one step `below` (the output) is born while `above` (an input) dies: the two may share memory when
    offset[below] <= offset[above] + distance, distance being at most 0 and a multiple of ALIGN."""

    below: str
    above: str
    distance: int

    @staticmethod
    def of(below: str, above: str, distance: int) -> Reuse:
        """The reuse that a kernel's promise of `distance` bytes (see Op.overlap) allows under alignment."""
        return Reuse(below, above, min(0, distance // ALIGN * ALIGN))


@dataclass(frozen=True)
class ArenaPlan:
    """Where every block lies.

    lower_bound is the largest sum of live bytes after aliasing over all steps: no plan for this order can
    be smaller. gap is nbytes - lower_bound; `optimal` says that no plan can be smaller than this one (the
    gap is 0, or the search was exhaustive). visited counts search nodes.
    """

    offsets: dict[str, int]
    nbytes: int
    lower_bound: int
    optimal: bool
    visited: int = 0

    @property
    def gap(self) -> int:
        return self.nbytes - self.lower_bound


class _Problem:
    """Blocks by index, in units of ALIGN, with the separations that keep conflicting pairs apart.

    separation[a][b] is the least offset[b] - offset[a] when a lies below b (or level with it); absent when
    the two never live at the same step. For a plain pair it is a's size; for a reuse it is less.
    """

    def __init__(self, blocks: Sequence[Block], reuses: Iterable[Reuse]) -> None:
        self.blocks = tuple(blocks)
        index = {b.name: i for i, b in enumerate(self.blocks)}
        if len(index) != len(self.blocks):
            raise GraphError("two arena blocks have one name")
        self.size = [b.size // ALIGN for b in self.blocks]
        self.separation: list[dict[int, int]] = [{} for _ in self.blocks]
        order = sorted(range(len(self.blocks)), key=lambda i: self.blocks[i].start)
        live: list[int] = []
        for i in order:
            b = self.blocks[i]
            if b.end < b.start:
                raise GraphError(f"arena block {b.name!r} ends before it starts")
            live = [j for j in live if self.blocks[j].end >= b.start]
            for j in live:
                self.separation[i][j] = self.size[i]
                self.separation[j][i] = self.size[j]
            live.append(i)
        self.reuse: dict[
            int, list[tuple[int, int]]
        ] = {}  # output -> [(input, distance as a positive number)]
        for r in reuses:
            o, i = index[r.below], index[r.above]
            if self.blocks[o].start != self.blocks[i].end or r.distance > 0 or r.distance % ALIGN:
                raise GraphError(f"the reuse of {r.above!r} by {r.below!r} is not well formed")
            if o == i:
                raise GraphError(f"arena block {r.below!r} reuses itself")
            d = -r.distance // ALIGN
            self.separation[o][i] = min(self.separation[o][i], d, self.size[o])
            self.reuse.setdefault(o, []).append((i, d))
        self.steps = self._steps()
        self.bounds = [self._live_units(live) for live in self.steps]
        self.bound = max(self.bounds, default=0)

    def _steps(self) -> list[tuple[int, ...]]:
        """The live sets of all steps at which something is born, without those inside the next one."""
        starts = sorted({b.start for b in self.blocks})
        return [tuple(i for i, b in enumerate(self.blocks) if b.start <= t <= b.end) for t in starts]

    def _live_units(self, live: tuple[int, ...]) -> int:
        """The least memory a live set can occupy.

        Plain blocks add up. An output with dying inputs of distances d occupies its own window [0, size);
        an input may cover part of that window from d on. Laying the inputs in order of d, without idle
        space where one could already start, covers the most (it is one-machine scheduling with release
        times d, which that order solves exactly).
        """
        here = set(live)
        total = sum(self.size[i] for i in live)
        for o in live:
            window, clock = self.size[o], 0
            for i, d in sorted(self.reuse.get(o, ()), key=lambda r: (r[1], r[0])):
                if i not in here or self.blocks[i].end != self.blocks[o].start:
                    continue
                begin = max(clock, d)
                if begin >= window:
                    break
                total -= min(begin + self.size[i], window) - begin
                clock = begin + self.size[i]
        return total

    def position(self, i: int, placed: dict[int, int]) -> int:
        """The lowest offset at which block i fits among the placed ones (holes included)."""
        near = [(placed[j], j) for j in self.separation[i] if j in placed]
        candidates = {0}
        candidates.update(off + self.separation[j][i] for off, j in near)
        for c in sorted(candidates):
            if all(c - off >= self.separation[j][i] or off - c >= self.separation[i][j] for off, j in near):
                return c
        raise AssertionError("the space above every placed block is free")

    def height(self, offsets: dict[int, int]) -> int:
        return max((off + self.size[i] for i, off in offsets.items()), default=0)

    def greedy(self, order: Iterable[int]) -> dict[int, int]:
        placed: dict[int, int] = {}
        for i in order:
            placed[i] = self.position(i, placed)
        return placed


def _orders(p: _Problem) -> list[list[int]]:
    """Greedy orders worth trying, best-known heuristics first."""
    ids = range(len(p.blocks))
    life = [b.end - b.start + 1 for b in p.blocks]
    peak = {i: max((p.bounds[k] for k, s in enumerate(p.steps) if i in s), default=0) for i in ids}
    keys = [
        lambda i: (-p.size[i], -life[i], i),
        lambda i: (-p.size[i] * life[i], -p.size[i], i),
        lambda i: (-peak[i], -p.size[i], i),
        lambda i: (p.blocks[i].start, -p.size[i], i),
        lambda i: (-p.blocks[i].end, -p.size[i], i),
        lambda i: (-life[i], -p.size[i], i),
        lambda i: (-peak[i], -life[i], i),
    ]
    return [sorted(ids, key=k) for k in keys]


class _Search:
    """Exact search over plans in which offsets never fall as blocks are placed.

    Pushing blocks down turns any plan into one where each lies at 0 or as close above a conflicting block
    as their separation allows, so it is enough to place blocks by rising offset, each at the largest
    offset its lower neighbours force. A branch is cut when
    * some unplaced block could lie wholly below the chosen one (that order is tried elsewhere),
    * a block or the unused space below the current level shows that no better plan is left.
    """

    def __init__(self, p: _Problem, best: dict[int, int], limit: int) -> None:
        self.p = p
        self.best = best
        self.best_height = p.height(best)
        self.limit = limit
        self.visited = 0
        self.complete = True

    def run(self) -> None:
        n = len(self.p.blocks)
        self._place(0, -1, {}, [0] * n)

    def _done(self) -> bool:
        if self.best_height <= self.p.bound:
            return True
        if self.visited >= self.limit:
            self.complete = False
            return True
        return False

    def _wasted(self, k: int, level: int, placed: dict[int, int]) -> int:
        """Units below `level` that no block live at step k can use any more."""
        spans = sorted((placed[i], placed[i] + self.p.size[i]) for i in self.p.steps[k] if i in placed)
        free = at = 0
        for lo, hi in spans:
            if lo >= level:
                break
            free += max(0, lo - at)
            at = max(at, hi)
        return free + max(0, level - at)

    def _place(self, level: int, last: int, placed: dict[int, int], floor: list[int]) -> None:
        """Extend a partial plan. level: offset of the last placed block; floor: forced offsets."""
        p = self.p
        self.visited += 1
        rest = [i for i in range(len(p.blocks)) if i not in placed]
        if not rest:
            h = p.height(placed)
            if h < self.best_height:
                self.best_height, self.best = h, dict(placed)
            return
        at = {i: max(floor[i], level) for i in rest}
        if any(at[i] + p.size[i] >= self.best_height for i in rest):
            return
        low = min(at.values())
        for k in range(len(p.steps)):
            if p.bounds[k] + self._wasted(k, low, placed) >= self.best_height:
                return
        tops = sorted((at[i] + p.size[i], i) for i in rest)
        choices = sorted(rest, key=lambda i: (at[i], -p.size[i], i))
        for i in choices:
            if self._done():
                return
            if floor[i] < level:  # pushed down, it would have come before the current level was reached
                continue
            ceiling = tops[0][0] if tops[0][1] != i else tops[1][0] if len(tops) > 1 else at[i] + 1
            if at[i] >= ceiling:
                continue
            if at[i] == level and i < last and i not in p.separation[last]:
                continue
            grown = list(floor)
            for j, w in p.separation[i].items():
                if j not in placed:
                    grown[j] = max(grown[j], at[i] + w)
            placed[i] = at[i]
            self._place(at[i], i, placed, grown)
            del placed[i]


def live_bytes(blocks: Sequence[Block], reuses: Iterable[Reuse]) -> dict[int, int]:
    """The least memory that what lives at a step can occupy, for every step at which something is born."""
    starts = sorted({b.start for b in blocks})
    return {t: ALIGN * units for t, units in zip(starts, _Problem(blocks, reuses).bounds, strict=True)}


def plan_arena(
    blocks: Sequence[Block], reuses: Iterable[Reuse] = (), *, search_work: int = SEARCH_WORK
) -> ArenaPlan:
    """Offsets for all blocks. Deterministic; see ArenaPlan for what is known about its quality."""
    p = _Problem(blocks, reuses)
    best: dict[int, int] = {}
    best_height = -1
    for order in _orders(p):
        trial = p.greedy(order)
        h = p.height(trial)
        if best_height < 0 or h < best_height:
            best, best_height = trial, h
        if best_height <= p.bound:
            break
    visited = 0
    optimal = best_height <= p.bound
    if not optimal and len(p.blocks) <= _SEARCH_DEPTH:
        s = _Search(p, best, max(1, search_work // len(p.blocks)))
        s.run()
        best, best_height, visited = s.best, s.best_height, s.visited
        optimal = s.complete
    return ArenaPlan(
        offsets={b.name: best[i] * ALIGN for i, b in enumerate(p.blocks)},
        nbytes=max(0, best_height) * ALIGN,
        lower_bound=p.bound * ALIGN,
        optimal=optimal,
        visited=visited,
    )
