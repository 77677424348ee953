"""Which candidate each layer gets.

speed takes what costs least, size what takes the fewest bytes. balanced takes the network whose cost times flash, code
and all, is least: a byte is spent where it saves most, in whatever layer that is, and no longer than it saves a larger
share of the cost than it adds to the program. Between the two ends layers move along the lower convex hulls of their
(bytes, cost), the best step of all first, as the method of Lagrange multipliers has it (H. Everett, Operations
Research 11, 1963); the least product of two sums lies on that path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from edgebit.plan.kernels import Candidate, Optimize

Program = Callable[[Sequence[Candidate]], int]
"""Bytes of flash that a program with these kernels, one a layer, takes beside the layers' constants."""


def rank(found: Sequence[Candidate], optimize: Optimize, worth: float = 0.0) -> list[Candidate]:
    """Candidates of a layer, the one to take first. worth: of a byte, for balanced; in the unit of prices."""

    def key(c: Candidate) -> tuple[float, float, str]:
        if optimize == "size":
            return (c.nbytes, c.price, c.stem)
        both = c.price if optimize == "speed" else c.price + worth * c.nbytes
        return (both, c.nbytes, c.stem)

    return sorted(found, key=key)


def rank_all(
    layers: Sequence[Sequence[Candidate]], optimize: Optimize, program: Program
) -> list[list[Candidate]]:
    """The candidates of every layer of a network, the ones to take first."""
    worth = byte_worth(layers, program) if optimize == "balanced" else 0.0
    return [rank(found, optimize, worth) for found in layers]


def byte_worth(layers: Sequence[Sequence[Candidate]], program: Program) -> float:
    """What a byte of flash is worth, in the unit of prices, where the network's cost times flash is least."""
    hulls = [_hull(found) for found in layers]
    steps = sorted(
        ((_rate(small, large), i, large) for i, h in enumerate(hulls) for small, large in pairwise(h)),
        key=lambda s: (-s[0], s[1], s[2].nbytes),
    )
    if not steps:
        return 0.0
    taken = [h[0] for h in hulls]
    rates = [2 * steps[0][0], *(rate for rate, _, _ in steps), 0.0]
    best, worth = _product(taken, program), rates[0]
    for k, (rate, i, large) in enumerate(steps, 1):
        taken[i] = large
        if rates[k + 1] == rate:  # one step with the next: between its ends the product is larger
            continue
        product = _product(taken, program)
        if product < best:
            best, worth = product, (rate + rates[k + 1]) / 2
    return worth


def _product(taken: Sequence[Candidate], program: Program) -> float:
    return sum(c.price for c in taken) * (program(taken) + sum(c.nbytes for c in taken))


def _rate(small: Candidate, large: Candidate) -> float:
    """What each byte of a step saves."""
    return (small.price - large.price) / (large.nbytes - small.nbytes)


def _hull(found: Sequence[Candidate]) -> list[Candidate]:
    """Those on the lower convex hull of (bytes, price), from the smallest to the fastest."""
    hull: list[Candidate] = []
    for c in rank(found, "size"):
        if hull and c.price >= hull[-1].price:
            continue
        while len(hull) > 1 and _rate(hull[-1], c) >= _rate(hull[-2], hull[-1]):
            hull.pop()
        hull.append(c)
    return hull


def choose(
    ranked: Sequence[Sequence[Candidate]], flash_budget: int | None = None
) -> list[tuple[Candidate, Candidate | None]]:
    """One candidate for each layer and the runner-up, of ranked candidates.

    When the constants exceed flash_budget bytes, layers trade speed for size, the trade that costs least
    a byte first, until they fit or nothing smaller is left.
    """
    taken = [r[0] for r in ranked]
    while flash_budget is not None and sum(c.nbytes for c in taken) > flash_budget:
        trades = [
            ((c.price - taken[i].price) / (taken[i].nbytes - c.nbytes), i, c.stem, c)
            for i, found in enumerate(ranked)
            for c in found
            if c.nbytes < taken[i].nbytes
        ]
        if not trades:
            break
        _, i, _, smaller = min(trades, key=lambda t: t[:3])
        taken[i] = smaller
    return [
        (best, next((c for c in found if c is not best), None))
        for best, found in zip(taken, ranked, strict=True)
    ]
