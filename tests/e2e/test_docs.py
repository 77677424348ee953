"""Every `$ edgebit ...` line of the README and docs runs, in order, exits 0 and says what the page shows."""

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


def sessions(text: str) -> list[tuple[list[str], list[str]]]:
    """The edgebit command lines of a page, and the lines that it shows below each; blocks behind a mark of NEEDS are
    left out."""
    found: list[tuple[list[str], list[str]]] = []
    for m in BLOCK.finditer(text):
        if text[: m.start()].rstrip().endswith((*NEEDS, ELSEWHERE)):
            continue
        for line in m.group(1).replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((shlex.split(line[2:]), []))
            elif plain(line):
                found[-1][1].append(plain(line))
    return [(c, shown) for c, shown in found if c and c[0] == "edgebit"]


def plain(text: str) -> str:
    """Text without the rules of tables, and with one space between words."""
    return " ".join(re.sub("[\u2500-\u257f]", " ", text).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_of_a_page_run(
    page: Path, edgebit: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And say what the page shows."""
    found = sessions(page.read_text())
    if not found:
        pytest.skip("this page has no edgebit commands")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for c, shown in found:
        ran = edgebit(*c[1:])
        said = plain(f"{ran.out}\n{ran.err}")
        missing = [line for line in shown if line not in said]
        assert not missing, f"{page.name}: {' '.join(c)} does not say {missing}, but\n{ran.out}\n{ran.err}"


def test_the_readme_has_commands() -> None:
    found = sessions((ROOT / "README.md").read_text())
    assert len(found) >= 5
    assert sum(len(shown) for _, shown in found) >= 5


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


def test_the_page_says_what_the_goals_cost(edgebit: Callable[..., Any], tmp_path: Path) -> None:
    page = (ROOT / "docs" / "choosing-kernels.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) \| (size|balanced|speed) \| ([\d,]+) B \| ([\d,]+) \|$", page, re.M)
    assert len(rows) == 6
    example = ROOT / "examples" / "digits"
    for board, goal, weights, cycles in rows:
        out = tmp_path / f"{board}-{goal}"
        data = ["--vectors", example / "test.npz", "--limit", 1]
        edgebit("export", example / "digits.onnx", "--target", board, "--optimize", goal, *data, "-o", out)
        counted = json.loads(edgebit("bench", out, "--emulate", "--json").out)
        found = (json.loads((out / "edgebit.json").read_text())["weights_bytes"], counted["per_inference"])
        assert found == tuple(int(n.replace(",", "")) for n in (weights, cycles)), (board, goal)


def test_a_broken_command_would_be_seen(edgebit: Callable[..., Any]) -> None:
    ((c, shown),) = sessions(
        "text\n```console\n$ edgebit export no-such-file.onnx --target pico\nout  put\n```\n"
    )
    assert shown == ["out put"]
    assert edgebit(*c[1:], code=None).code == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
