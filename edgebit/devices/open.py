"""Opens the device a command line names: a board on a port, an emulated one, or this machine."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from edgebit.board import Board
from edgebit.devices.counting import Counter
from edgebit.devices.link import Link
from edgebit.devices.own_counter import OwnCounter
from edgebit.devices.process import ProcessTransport
from edgebit.devices.qemu import QemuSystem, open_user
from edgebit.devices.qemu_counting import QemuCounter
from edgebit.devices.rp2040js import NAME as RP2040JS
from edgebit.devices.rp2040js import Rp2040js, Rp2040jsCounter
from edgebit.devices.serial import find_port, open_port
from edgebit.devices.ssh import SCHEME, open_remote
from edgebit.devices.transport import Transport
from edgebit.devices.unicorn_a32 import Arm32Linux
from edgebit.devices.unicorn_a64 import Aarch64Linux
from edgebit.devices.unicorn_m import CortexM
from edgebit.errors import NoBoardError, ToolchainError, UsageError
from edgebit.toolchain.base import host_arch, on_linux
from edgebit.toolchain.elf import Image

MARK = "eb_mark"
UF2 = "firmware.uf2"
AnyCounter = Counter | QemuCounter | Rp2040jsCounter | OwnCounter


class Built(Protocol):
    """What of a build is needed here; edgebit.toolchain.build.BuildResult has it.

    image_id is in hex.
    """

    @property
    def elf(self) -> Path: ...
    @property
    def bin(self) -> Path: ...
    @property
    def image_id(self) -> str: ...


@dataclass
class Device:
    """An open device. counter is there when its costs can be counted, and counts only while enabled.

    emulator: "unicorn", "qemu" or "rp2040js"; None for hardware and for the host itself.
    """

    board: Board
    link: Link
    counter: AnyCounter | None
    emulator: str | None

    @property
    def title(self) -> str:
        """What the device is, for messages."""
        return self.link.where

    def close(self) -> None:
        self.link.close()
        if isinstance(self.counter, QemuCounter):
            self.counter.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def emulators(board: Board) -> tuple[str, ...]:
    """Emulators that can stand in for a board, the default first."""
    return tuple(sorted((e for e in board.emulators if e != "native"), key=lambda e: (e != "unicorn", e)))


def open_device(
    board: Board,
    build: Built,
    *,
    emulate: str | None = None,
    port: str | None = None,
    count: bool = False,
    model_id: str | None = None,
    check_image: bool = True,
    hang_seconds: float = 600.0,
) -> Device:
    """Open the device and make a link to it; nothing is said yet (Link.hello checks who is there).

    emulate: an emulator's name, "" or "auto" for the board's default, None for the board itself. port: a serial
    port or URL, None to find the board by its USB ids. count: turn the counter on where there is one (slower).
    model_id: the certificate, in hex, that Link.hello insists on. check_image: it also insists on this build.
    """
    image_id = build.image_id if check_image else None
    link = functools.partial(Link, model_id=model_id, image_id=image_id, board=board.name)
    if emulate is not None and port is not None:
        raise UsageError("--port names a real board and --emulate replaces it: give one of them")
    if board.core.family == "host":
        if port is not None:
            raise UsageError("--port is for boards; the host runs the program itself")
        return Device(board, link(ProcessTransport([_program(build.elf)], where="this machine")), None, None)
    if emulate is not None:
        name = _choose(board, emulate)
        transport, counter = _emulated(board, build, name, hang_seconds, count)
        if counter is not None:
            counter.enable(count)
        return Device(board, link(transport), counter, name)
    if board.uart is None and port is not None and port.startswith(SCHEME):
        return Device(board, link(open_remote(port)), None, None)
    if board.uart is None:
        if _is_this_machine(board):
            return Device(board, link(ProcessTransport([_program(build.elf)], where=board.name)), None, None)
        raise NoBoardError(
            f"the {board.title} is reached over ssh: say --port ssh://[USER@]HOST after edgebit flash --host [USER@]HOST, or run "
            "this command on it, or use --emulate"
        )
    own = link(open_port(port if port is not None else find_port(board), board.uart.baud))
    return Device(board, own, OwnCounter(own) if board.core.is_cortex_m else None, None)


def _choose(board: Board, emulate: str) -> str:
    known = emulators(board)
    if not known:
        raise UsageError(f"there is no emulation of the {board.title}")
    if emulate in ("", "auto"):
        return known[0]
    if emulate not in known:
        raise UsageError(f"the {board.title} is not emulated by {emulate!r}; there is: {', '.join(known)}")
    return emulate


def _emulated(
    board: Board, build: Built, emulator: str, hang_seconds: float, count: bool
) -> tuple[Transport, AnyCounter | None]:
    if emulator == "qemu":
        if board.core.is_cortex_m:
            if not count:
                return QemuSystem(board, build.elf), None
            counter = QemuCounter(board.core, str(board.emulators["qemu"]["program"]), build.elf)
            return QemuSystem(board, build.elf, counter.options), counter
        return open_user(board, build.elf), None
    mark = Image(build.elf).symbol(MARK).address
    if emulator == RP2040JS:
        chip = Rp2040js(board, build.bin.with_name(UF2), mark=mark)
        return chip, Rp2040jsCounter(chip) if count else None
    machine: CortexM | Aarch64Linux
    if board.core.is_cortex_m:
        try:
            image = build.bin.read_bytes()
        except OSError as e:
            raise ToolchainError(f"cannot read {build.bin}: {e.strerror}; build it first") from e
        machine = CortexM(board, image, mark=mark, hang_seconds=hang_seconds)
    else:
        kind = Aarch64Linux if board.core.is_64bit else Arm32Linux
        machine = kind(board, build.elf, mark=mark, hang_seconds=hang_seconds)
    return machine, machine.counter


def _program(elf: Path) -> str:
    if not elf.is_file():
        raise ToolchainError(f"there is no {elf}; build it first")
    if not os.access(elf, os.X_OK):
        raise ToolchainError(f"{elf} may not be executed; build it again")
    return str(elf.resolve())


def _is_this_machine(board: Board) -> bool:
    """Whether we run on the Linux board ourselves. A board without a model is any machine of its kind."""
    if board.port.get("model") == "":
        return host_arch() == "aarch64" and on_linux()
    try:
        model = Path("/proc/device-tree/model").read_bytes().rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        return False
    return model.startswith(str(board.port.get("model") or board.title.split(" (")[0]))
