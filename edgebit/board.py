"""Board definitions: memories, UART, flash methods, emulators. One folder of data per board."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgebit.core import Core, load_core
from edgebit.errors import UsageError
from edgebit.resources import data_dir


@dataclass(frozen=True)
class Memory:
    """One memory region. kind is "flash" or "ram"; sizes in bytes."""

    name: str
    kind: str
    origin: int
    length: int


@dataclass(frozen=True)
class Uart:
    """The UART the link uses. model names a register model ("pl011", "stm32f4", "cmsdk")."""

    model: str
    base: int
    baud: int


@dataclass(frozen=True)
class FlashWait:
    """What reading constants from flash costs where it lies behind a cache: an estimate, kept apart from cycles
    that are counted. bytes_per_cycle: how fast the cache fills. cache_bytes: constants of a layer that are
    larger are read again for every pass over them."""

    bytes_per_cycle: float
    cache_bytes: int

    def cycles(self, nbytes: int, passes: float) -> float:
        """Cycles a core waits for nbytes of constants that are gone through `passes` times."""
        return nbytes * (passes if nbytes > self.cache_bytes else 1.0) / self.bytes_per_cycle


@dataclass(frozen=True)
class Board:
    """One board. Facts come from the data sheets named in its board.toml."""

    name: str
    title: str
    core: Core
    clock_hz: int
    memories: tuple[Memory, ...]
    uart: Uart | None
    flash_methods: dict[str, dict[str, Any]]
    usb_ids: tuple[tuple[int, int], ...]
    emulators: dict[str, dict[str, Any]]
    port: dict[str, Any]
    sources: tuple[str, ...]
    hardware_tested: bool
    current: dict[str, Any]
    path: Path
    flash_wait: FlashWait | None = None

    def total(self, kind: str) -> int:
        """Bytes of all memories of a kind; 0 when the board states none (a Linux machine)."""
        return sum(m.length for m in self.memories if m.kind == kind)

    @property
    def flash_bytes(self) -> int:
        return self.total("flash")

    @property
    def ram_bytes(self) -> int:
        return self.total("ram")


@cache
def list_boards() -> tuple[str, ...]:
    """Names of all boards, sorted."""
    return tuple(sorted(p.parent.name for p in data_dir("boards").glob("*/board.toml")))


@cache
def load_board(name: str) -> Board:
    """Read a board's definition; UsageError with the list of boards when there is none of that name."""
    if name not in list_boards():
        raise UsageError(f"no board named {name!r}; there are: {', '.join(list_boards())}")
    path = data_dir("boards") / name / "board.toml"
    d = tomllib.loads(path.read_text())
    u = d.get("uart")
    wait = d.get("flash_wait")
    return Board(
        name=name,
        title=d["title"],
        core=load_core(d["core"]),
        clock_hz=int(d.get("clock_hz", 0)),
        memories=tuple(Memory(m["name"], m["kind"], m["origin"], m["length"]) for m in d.get("memory", ())),
        uart=None if u is None else Uart(u["model"], u["base"], u["baud"]),
        flash_methods=d.get("flash", {}),
        usb_ids=tuple((v[0], v[1]) for v in d.get("usb", {}).get("ids", ())),
        emulators=d.get("emulator", {}),
        port=d.get("port", {}),
        sources=tuple(d.get("sources", ())),
        hardware_tested=bool(d.get("hardware_tested", False)),
        current=d.get("current", {}),
        flash_wait=None if wait is None else FlashWait(wait["bytes_per_cycle"], wait["cache_bytes"]),
        path=path.parent,
    )


def resolve_target(name: str) -> tuple[Core, Board | None]:
    """A `--target` value: a board name, or a bare core name."""
    if name in list_boards():
        board = load_board(name)
        return board.core, board
    try:
        return load_core(name), None
    except UsageError:
        from edgebit.core import list_cores

        raise UsageError(
            f"no board or core named {name!r}; boards: {', '.join(list_boards())}; cores: {', '.join(list_cores())}"
        ) from None
