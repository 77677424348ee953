"""docs/boards.md says of every board what its folder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebit.board import list_boards, load_board
from edgebit.flash.base import flashers

PAGE = Path(__file__).resolve().parents[2] / "docs" / "boards.md"
ROWS = {
    c[1].strip(" `"): [x.strip() for x in c[1:-1]]
    for c in (r.split("|") for r in PAGE.read_text().splitlines())
    if len(c) == 8
}


@pytest.mark.parametrize("name", list_boards())
def test_row_of_a_board(name: str) -> None:
    b = load_board(name)
    want = [b.title, b.core.name, ", ".join(b.flash_methods) or "-", ", ".join(sorted(b.emulators)), b.link]
    assert ROWS[name][1:] == want


def test_no_board_is_made_up() -> None:
    assert set(ROWS) - {"name", "---"} == set(list_boards())


def test_every_method_is_described() -> None:
    text = PAGE.read_text()
    for name in flashers():
        assert f"\n| `{name}` |" in text
