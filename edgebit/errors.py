"""Every failure a user can meet, and the exit code that goes with it.

    EdgebitError                      1  internal error
    ├── UsageError                    2  bad usage
    ├── ModelError                    3  an input file is malformed or not supported (names file and node)
    ├── FitError                      4  does not fit the board
    ├── ToolchainError                5  toolchain missing, or it refused the source
    ├── NoBoardError                  6  no board, or more than one candidate
    ├── WrongBoardError               7  wrong board, core, model or image
    ├── PortError                     8  port busy or not permitted
    ├── MismatchError                 9  outputs or weights differ from the reference
    ├── LinkError                    10  device silent or link lost
    ├── WriteError                   11  write or read-back failed
    └── LimitError                   12  a limit set by the user was missed

A message says what failed, where (file, node, board, port), and what to do next.
"""

from __future__ import annotations

from typing import Any, ClassVar


class EdgebitError(Exception):
    """Base of every error the command line prints as one sentence.

    `details` is merged into the JSON object printed under ``--json``.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


class UsageError(EdgebitError):
    """The command line was used wrongly."""

    exit_code = 2


class ModelError(EdgebitError):
    """An input file is malformed or holds something EdgeBit does not support."""

    exit_code = 3


class FitError(EdgebitError):
    """The planned model does not fit the board's memories."""

    exit_code = 4


class ToolchainError(EdgebitError):
    """A compiler or tool is missing, or refused the source."""

    exit_code = 5


class NoBoardError(EdgebitError):
    """No board was found, or more than one and no way to choose."""

    exit_code = 6


class WrongBoardError(EdgebitError):
    """The board, its core, or the model on it is not the one asked for."""

    exit_code = 7


class PortError(EdgebitError):
    """A port is busy or may not be opened."""

    exit_code = 8


class MismatchError(EdgebitError):
    """The device computed something else than the reference."""

    exit_code = 9


class LinkError(EdgebitError):
    """The device is silent, or the link broke."""

    exit_code = 10


class WriteError(EdgebitError):
    """Writing an image or reading it back failed."""

    exit_code = 11


class LimitError(EdgebitError):
    """A limit the user set was missed."""

    exit_code = 12


def error_of(exit_code: int) -> type[EdgebitError]:
    """The kind of error that ends with an exit code; EdgebitError for one that is none of them."""
    return next((kind for kind in EdgebitError.__subclasses__() if kind.exit_code == exit_code), EdgebitError)
