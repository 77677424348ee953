"""Every `$ edgebit ...` line of the README and docs runs, in order, and exits 0."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
NEEDS = ("<!-- needs a board -->", "<!-- needs a model -->")  # what a test machine has not
ELSEWHERE = "<!-- run by another page -->"  # docs/microcontroller-language-models.md, which takes a minute


def commands(text: str) -> list[list[str]]:
    """The edgebit command lines of a page; blocks behind a mark of NEEDS are left out."""
    found = []
    for m in BLOCK.finditer(text):
        if text[: m.start()].rstrip().endswith((*NEEDS, ELSEWHERE)):
            continue
        lines = [line[2:] for line in m.group(1).replace("\\\n", " ").splitlines() if line.startswith("$ ")]
        found += [shlex.split(line) for line in lines]
    return [c for c in found if c and c[0] == "edgebit"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_of_a_page_run(
    page: Path, edgebit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = commands(page.read_text())
    if not found:
        pytest.skip("this page has no edgebit commands")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for c in found:
        edgebit(*c[1:])


def test_the_readme_has_commands() -> None:
    assert len(commands((ROOT / "README.md").read_text())) >= 5


@pytest.mark.parametrize(("board", "name"), [("pico", "a Pico"), ("nucleo-f446re", "an STM32F446")])
def test_the_readme_says_what_digits_costs(
    board: str, name: str, edgebit: Callable[..., Any], digits: Callable[[str], Path]
) -> None:
    """The last column of the README's table: the ternary net as it is exported."""
    rows = re.findall(r"^\| ([^|]*) \|.*\| ([\d,]+)(?: B)? \|$", (ROOT / "README.md").read_text(), re.M)
    said = {row: int(number.replace(",", "")) for row, number in rows}
    folder = digits(board)
    counted = json.loads(edgebit("bench", folder, "--board", board, "--emulate", "--json").out)
    assert said[f"one inference on {name}, modelled cycles"] == counted["per_inference"]
    assert said[f"weights on {name}"] == json.loads((folder / "edgebit.json").read_text())["weights_bytes"]


def test_a_broken_command_would_be_seen(edgebit: Callable[..., Any]) -> None:
    (c,) = commands("text\n```console\n$ edgebit export no-such-file.onnx --target pico\noutput\n```\n")
    assert edgebit(*c[1:], code=None).code == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
