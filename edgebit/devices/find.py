"""Which boards are plugged in: by USB ids, never by a guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebit.board import Board
from edgebit.devices.serial import list_serial_ports

SYSFS = Path("/sys/bus/usb/devices")


@dataclass(frozen=True)
class UsbDevice:
    """A USB device of this machine. serial_number is "" when it has none, path where the kernel shows it."""

    vid: int
    pid: int
    product: str
    serial_number: str
    path: str

    def __str__(self) -> str:
        name = f"{self.vid:04x}:{self.pid:04x}"
        return " ".join(
            filter(None, (name, self.product, self.serial_number and f"(serial {self.serial_number})"))
        )


def usb_devices() -> list[UsbDevice]:
    """All USB devices on Linux; elsewhere those behind a serial port."""
    if SYSFS.is_dir():
        found = []
        for folder in sorted(SYSFS.iterdir()):
            try:
                vid, pid = (int(_text(folder / n), 16) for n in ("idVendor", "idProduct"))
            except ValueError:  # an interface, not a device
                continue
            found.append(
                UsbDevice(vid, pid, _text(folder / "product"), _text(folder / "serial"), folder.name)
            )
        return found
    return [
        UsbDevice(p.vid, p.pid, p.description, p.serial_number or "", p.device)
        for p in list_serial_ports()
        if p.vid is not None and p.pid is not None
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def connected_ports(board: Board) -> list[str]:
    """Serial ports whose USB ids are this board's, by name."""
    return [p.device for p in list_serial_ports() if p.vid is not None and (p.vid, p.pid) in board.usb_ids]


def own_ports(board: Board) -> list[str]:
    """Serial ports that are the board's own USB, not a debugger's or an adapter's."""
    if board.usb is None:
        return []
    return [p.device for p in list_serial_ports() if (p.vid, p.pid) == board.usb.ids]


def plugged_in(board: Board, others: Sequence[Board] = ()) -> list[str]:
    """What of a board is on this machine's USB: serial ports by name, and boards that wait for an image.

    A "?" follows what may as well belong to one of the other boards, whose debugger has the same ids.
    """
    shared = {i for b in others if b.name != board.name for i in (*b.usb_ids, *b.bootloader_ids)}
    found = []
    for p in list_serial_ports():
        if p.vid is not None and p.pid is not None and (p.vid, p.pid) in board.usb_ids:
            found.append(p.device + ("?" if (p.vid, p.pid) in shared else ""))
    for d in usb_devices():
        if (d.vid, d.pid) in board.bootloader_ids:
            found.append(
                f"waits for an image ({d.vid:04x}:{d.pid:04x})" + ("?" if (d.vid, d.pid) in shared else "")
            )
    return found
