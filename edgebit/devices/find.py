"""Which boards are plugged in."""

from __future__ import annotations

from edgebit.board import Board
from edgebit.devices.serial import list_serial_ports


def connected_ports(board: Board) -> list[str]:
    """Serial ports whose USB ids are this board's, by name."""
    return [p.device for p in list_serial_ports() if p.vid is not None and (p.vid, p.pid) in board.usb_ids]
