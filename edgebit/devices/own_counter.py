"""Cycles that a board counts itself, layer by layer: a real core's own counter, read over the link."""

from __future__ import annotations

from edgebit.devices.link import UNKNOWN, Link

MEASURED = "measured cycles"


class OwnCounter:
    """What the firmware's counter says; like counting.Counter.

    Waits for flash are in these cycles, and about 20 of each layer are the counting itself.
    """

    metric = MEASURED

    def __init__(self, link: Link) -> None:
        self._link = link

    def enable(self, on: bool) -> None:
        """Firmware always counts where its core can."""

    def layers(self) -> list[tuple[int, int]]:
        """(layer, cycles) of the last run; nothing where the core has no counter, or a layer took more than it can
        tell (2^24 cycles of SysTick on Armv6-M, 2^32 elsewhere)."""
        found = self._link.cycles()
        return [] if UNKNOWN in found else list(enumerate(found))
