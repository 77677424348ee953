"""A board may have cores of several kinds: one runs the programs, the others are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebit.board import check_core, list_boards, load_board
from edgebit.core import list_cores
from edgebit.errors import UsageError

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"


def test_the_core_that_programs_are_made_for_is_one_of_the_boards() -> None:
    for board in map(load_board, list_boards()):
        assert board.core.name in board.cores
        check_core(board.name, board.core.name)
    assert load_board("pico2").cores == ("cortex-m33", "hazard3")
    check_core("cortex-m7", "cortex-m7")


def test_a_core_without_a_definition_is_named_as_that(edgebit: Callable[..., Any], tmp_path: Path) -> None:
    assert "hazard3" not in list_cores(), "then the board can say how programs for it start"
    out = tmp_path / "digits"
    args = ("export", DIGITS, "--target", "pico2", "-o", out, "--core")
    said = edgebit(*args, "hazard3", "--json", code=2).json["error"]
    assert "has hazard3 cores, but this version makes no programs for them" in said
    assert "runtime_c/cores/hazard3.toml" in said
    assert not out.exists()
    assert "it has cortex-m33 and hazard3" in edgebit(*args, "cortex-a53", "--json", code=2).json["error"]
    with pytest.raises(UsageError, match="it has cortex-m4f"):
        check_core("cortex-m4f", "hazard3")
    shown = edgebit("boards", "show", "pico2", "--json")
    assert shown.json["cores"] == ["cortex-m33", "hazard3"]
    assert "hazard3, too, for which this version makes no programs" in shown.err
