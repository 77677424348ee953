"""Chat templates taken apart into token ids and texts."""

from __future__ import annotations

from collections.abc import Mapping

from edgebit.decoder.text.table import Chat, TextTable


class ChatError(Exception):
    """A template that cannot be taken apart; says why."""


def take_apart(template: str, names: Mapping[str, str], table: TextTable) -> Chat:
    """The parts of a template."""
    raise ChatError("not yet")
