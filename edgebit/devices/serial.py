"""Serial ports: opening them with an error that says the fix, and finding a board's port."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

import serial
from serial.tools import list_ports

from edgebit.board import Board
from edgebit.devices.transport import SocketTransport, Transport
from edgebit.errors import LinkError, NoBoardError, PortError, UsageError


@dataclass(frozen=True)
class SerialPort:
    """A serial port of this machine; USB ids are None for one that is not on USB."""

    device: str
    description: str
    vid: int | None
    pid: int | None
    serial_number: str | None


def list_serial_ports() -> list[SerialPort]:
    """All serial ports that look like hardware, USB ones first."""
    found = [
        SerialPort(p.device, p.description or "", p.vid, p.pid, p.serial_number)
        for p in list_ports.comports()
    ]
    return sorted(found, key=lambda p: (p.vid is None, p.device))


def find_port(board: Board) -> str:
    """The one port whose USB ids are the board's; NoBoardError when there is none, or more than one."""
    ports = list_serial_ports()
    ours = [p for p in ports if p.vid is not None and (p.vid, p.pid) in board.usb_ids]
    if len(ours) == 1:
        return ours[0].device
    seen = ", ".join(
        p.device if p.vid is None else f"{p.device} ({p.vid:04x}:{p.pid:04x} {p.description})" for p in ports
    )
    if ours:
        names = ", ".join(p.device for p in ours)
        raise NoBoardError(
            f"more than one {board.title} is connected: {names}; choose with --port",
            details={"candidates": [p.device for p in ours]},
        )
    if not board.usb_ids:
        raise NoBoardError(
            f"the {board.title} has no serial port of its own on USB. Its link is {board.link}: name the port with --port "
            f"(ports here: {seen or 'none'}), or use --emulate"
        )
    raise NoBoardError(
        f"no {board.title} found on USB; ports here: {seen or 'none'}. Name the port of its UART with "
        "--port, or use --emulate"
    )


def explain(port: str, error: BaseException) -> PortError:
    """A PortError that says what keeps the port from opening and how to change it."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number in (errno.EACCES, errno.EPERM) or "Permission" in text or "PermissionError(13" in text:
        if sys.platform == "win32":
            fix = "another program holds it: close the serial monitor or IDE that has it open"
        elif sys.platform == "darwin":
            fix = "close the program that has it open, or check its permissions"
        else:
            fix = (
                f"run `sudo usermod -aG {_group(port)} $USER` and log in again, or put this line into "
                f"/etc/udev/rules.d/70-edgebit.rules and plug the board in again: `{_rule(port)}`"
            )
        return PortError(f"not permitted to open {port}: {fix}")
    if number == errno.EBUSY or "lock" in text.lower() or "busy" in text.lower():
        return PortError(f"{port} is busy: close the serial monitor or ModemManager (see `fuser {port}`)")
    if number == errno.ENOENT or "FileNotFoundError" in text:
        return PortError(f"there is no port {port}; ports here: {_ports()}")
    if number in (errno.ENOTTY, errno.EISDIR, errno.ENODEV, errno.ENXIO) or "(25, " in text:
        return PortError(f"{port} is not a serial port; ports here: {_ports()}")
    return PortError(f"cannot open {port}: {text}")


def _ports() -> str:
    return ", ".join(p.device for p in list_serial_ports()) or "none"


def _rule(port: str) -> str:
    """The udev rule that lets the user at the screen open a port, for its own USB ids where it is on USB."""
    for p in list_serial_ports():
        if p.device == port and p.vid is not None and p.pid is not None:
            return (
                f'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{p.vid:04x}", ATTRS{{idProduct}}=="{p.pid:04x}", '
                'TAG+="uaccess"'
            )
    return f'KERNEL=="{os.path.basename(port)}", TAG+="uaccess"'


def _group(port: str) -> str:
    """The group that may use a serial port: usually dialout (Debian), uucp (Arch)."""
    try:
        import grp

        name = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return "dialout"
    return name if name != "root" else "dialout"


class SerialTransport:
    """A port opened with pyserial."""

    def __init__(self, port: str, baud: int) -> None:
        self.where = port
        try:
            self._port = serial.serial_for_url(port, baudrate=baud, timeout=0, do_not_open=True)
            if hasattr(self._port, "exclusive") and os.name == "posix":
                self._port.exclusive = True
            self._port.open()
        except ValueError as e:
            raise UsageError(f"{port!r} is not a serial port or URL: {e}") from e
        except (serial.SerialException, OSError) as e:
            raise explain(port, e) from e

    def write(self, data: bytes) -> None:
        try:
            self._port.write_timeout = 10.0
            self._port.write(data)
            self._port.flush()
        except (serial.SerialException, OSError) as e:
            raise LinkError(f"{self.where}: the port broke while writing: {e}; was it unplugged?") from e

    def read(self, timeout: float) -> bytes:
        try:
            self._port.timeout = max(timeout, 0.0)
            first: bytes = self._port.read(1)
            if not first:
                return b""
            self._port.timeout = 0
            rest: bytes = self._port.read(max(self._port.in_waiting, 1))
        except (serial.SerialException, OSError) as e:
            raise LinkError(f"{self.where}: the port broke while reading: {e}; was it unplugged?") from e
        return first + rest

    def close(self) -> None:
        self._port.close()


TOUCH_BAUD = 1200
"""A port closed at this speed is the sign that Arduino made common: firmware restarts into its boot loader."""


def touch(port: str) -> None:
    """Ask what is behind a USB serial port to restart into its boot loader; PortError when it cannot be opened."""
    try:
        serial.Serial(port, TOUCH_BAUD).close()
    except (serial.SerialException, OSError) as e:
        raise explain(port, e) from e


def open_port(port: str, baud: int) -> Transport:
    """Open a serial port or URL; `socket://host:port` becomes a plain TCP connection."""
    if port.startswith("socket://"):
        parts = urlsplit(port)
        try:
            host, number = parts.hostname, parts.port
        except ValueError:  # not a number, or above 65535
            host = number = None
        if host is None or number is None:
            raise UsageError(f"{port!r} should read socket://HOST:PORT, with PORT from 0 to 65535")
        return SocketTransport(host, number)
    return SerialTransport(port, baud)
