"""Board definitions: memories, UART, flash methods, emulators. One folder of data per board."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edgebit.core import Core, list_cores, load_core
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
class Usb:
    """The USB device controller that carries the link beside the UART. model names a driver (runtime_c/port/usb), base and
    memory are the addresses of its registers and of its packet memory; ids: what it calls itself."""

    model: str
    base: int
    memory: int
    ids: tuple[int, int]


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
class MemoryBandwidth:
    """Bytes a second that all cores together read from main memory in a long run: for estimates, which name it.
    source: who measured it, or that it is assumed."""

    bytes_per_second: float
    source: str


@dataclass(frozen=True)
class Current:
    """What a board or its chip draws while it computes, in milliamperes: typical, as a maker's document states it, never
    measured by us. at: of what and under which conditions; source: the document."""

    milliamperes: float
    at: str
    source: str


@dataclass(frozen=True)
class Board:
    """One board. Facts come from the data sheets named in its board.toml.

    link says in a few words how a computer reaches the firmware; usb_ids are those of the serial ports this goes through,
    none when it needs an adapter. usb: the board's own USB port, where the firmware serves one. platformio: platform, board and
    framework of PlatformIO's registry and flags for its compiler, empty where it has none. bootloader_ids: as the board shows itself on USB when it waits for an image.
    like: the board that it takes from what its own file does not state. cores: names of all kinds of core that programs can run
    on, of which `core` is the one that they do run on; of others there need be no definition yet.
    """

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
    current: Current | None
    path: Path
    flash_wait: FlashWait | None = None
    link: str = ""
    bootloader_ids: tuple[tuple[int, int], ...] = ()
    like: str | None = None
    memory_bandwidth: MemoryBandwidth | None = None
    usb: Usb | None = None
    platformio: dict[str, Any] = field(default_factory=dict)
    cores: tuple[str, ...] = ()

    def total(self, kind: str) -> int:
        """Bytes of all memories of a kind; 0 when the board states none (a Linux machine)."""
        return sum(m.length for m in self.memories if m.kind == kind)

    @property
    def flash_bytes(self) -> int:
        return self.total("flash")

    @property
    def ram_bytes(self) -> int:
        return self.total("ram")

    def port_file(self, name: str) -> Path:
        """A file of the board's port: in its own folder, else in that of the board it is like."""
        own = self.path / name
        return own if own.is_file() or self.like is None else load_board(self.like).port_file(name)

    def port_sources(self) -> list[Path]:
        """The board's own C and assembly files: start-up, and what its boot ROM wants before the image."""
        return [self.port_file(str(self.port[k])) for k in ("start", "boot2", "header") if k in self.port]


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
    d = _facts(name)
    u = d.get("uart")
    usb = d.get("usb", {})
    wait = d.get("flash_wait")
    reads = d.get("memory_bandwidth")
    return Board(
        name=name,
        title=d["title"],
        core=load_core(d["core"]),
        clock_hz=int(d.get("clock_hz", 0)),
        memories=tuple(Memory(m["name"], m["kind"], m["origin"], m["length"]) for m in d.get("memory", ())),
        uart=None if u is None else Uart(u["model"], u["base"], u["baud"]),
        flash_methods=d.get("flash", {}),
        usb_ids=_pairs([*([usb["device"]["ids"]] if "device" in usb else []), *usb.get("ids", ())]),
        emulators=d.get("emulator", {}),
        port=d.get("port", {}),
        sources=tuple(d.get("sources", ())),
        hardware_tested=bool(d.get("hardware_tested", False)),
        current=None if not d.get("current") else Current(**d["current"]),
        flash_wait=None if wait is None else FlashWait(wait["bytes_per_cycle"], wait["cache_bytes"]),
        path=path.parent,
        link=d.get("link", ""),
        bootloader_ids=_pairs(usb.get("bootloader", ())),
        like=d.get("like"),
        usb=_usb(usb.get("device")),
        platformio=dict(d.get("platformio", {})),
        cores=tuple(d.get("cores", (d["core"],))),
        memory_bandwidth=None
        if reads is None
        else MemoryBandwidth(float(reads["bytes_per_second"]), reads["source"]),
    )


def _facts(name: str) -> dict[str, Any]:
    """What board.toml states; what it does not is that of the board named by `like`. Tables are replaced whole."""
    own = tomllib.loads((data_dir("boards") / name / "board.toml").read_text())
    return {**_facts(own["like"]), **own} if "like" in own else own


def _usb(device: dict[str, Any] | None) -> Usb | None:
    if device is None:
        return None
    vid, pid = device["ids"]
    return Usb(device["model"], device["base"], device["memory"], (vid, pid))


def _pairs(ids: Iterable[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((v[0], v[1]) for v in ids)


def resolve_target(name: str) -> tuple[Core, Board | None]:
    """A `--target` value: a board name, or a bare core name."""
    if name in list_boards():
        board = load_board(name)
        return board.core, board
    try:
        return load_core(name), None
    except UsageError:
        raise UsageError(
            f"no board or core named {name!r}; boards: {', '.join(list_boards())}; cores: {', '.join(list_cores())}"
        ) from None


def check_core(target: str, core: str) -> None:
    """UsageError unless a program for `target` runs on that core: the target is one, or a board with one."""
    own, board = resolve_target(target)
    if core == own.name:
        return
    if board is None or core not in board.cores:
        cores = own.name if board is None else " and ".join(board.cores)
        raise UsageError(f"{target} has no core named {core!r}; it has {cores}")
    missing = "" if core in list_cores() else f", for which there is no runtime_c/cores/{core}.toml"
    raise UsageError(
        f"the {board.title} has {core} cores, but this version makes no programs for them{missing}; leave out --core, and its "
        f"{own.name} runs the program"
    )
