"""Models by their id on the Hub. Nothing is downloaded here: huggingface_hub is replaced where it would be asked."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from decoder_files import write_folder

from edgebit.errors import ModelError, UsageError
from edgebit.importers._hub import PATTERNS, hub_id
from edgebit.importers.base import is_decoder, load_decoder


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("microsoft/bitnet-b1.58-2B-4T", ("microsoft/bitnet-b1.58-2B-4T", None)),
        ("org/name/sub/model-TQ2_0.gguf", ("org/name", "sub/model-TQ2_0.gguf")),
        ("name", None), ("a/b/c", None), ("../x", None), ("/etc/passwd", None), ("a/..", None), ("a/b/../c.gguf", None),
        ("a b/c", None), ("-a/b", None), ("", None), ("a/" + "b" * 200, None), ("a" * 5000, None),
    ],
)  # fmt: skip
def test_what_is_an_id(text: str, parsed: tuple[str, str | None] | None) -> None:
    assert hub_id(text) == parsed
    assert is_decoder(text) == (parsed is not None)


def test_a_path_that_was_mistyped_is_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    for text in ("models/digits", "gone/digits.onnx", "gone/m.gguf", "models/org/m.gguf"):
        assert not is_decoder(text)
        with pytest.raises(ModelError, match="no such file or folder"):
            load_decoder(text)
    with pytest.raises(ModelError, match="cannot be read"):
        load_decoder("x" * 5000)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install 'edgebit\[hub\]'"):
        load_decoder("org/name")


class FakeHub(types.ModuleType):
    """snapshot_download and hf_hub_download that answer with a path or raise."""

    def __init__(self, answer: Path | Exception) -> None:
        super().__init__("huggingface_hub")
        self.answer = answer
        self.asked: list[tuple[Any, Any]] = []

    def _give(self, *args: Any, **kwargs: Any) -> str:
        self.asked.append((args, kwargs))
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)

    snapshot_download = hf_hub_download = _give


def test_a_repository_is_downloaded_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    write_folder(tmp_path / "0123abcd", "LlamaForCausalLM", "divide")
    hub = FakeHub(tmp_path / "0123abcd")
    importlib.import_module("huggingface_hub.errors")
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    decoder = load_decoder("tiiuae/Falcon3-1B-1.58bit", revision="main")
    assert decoder.spec.name == "Falcon3-1B-1.58bit"
    assert hub.asked == [(("tiiuae/Falcon3-1B-1.58bit",), {"revision": "main", "allow_patterns": PATTERNS})]


def test_what_the_hub_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    importlib.import_module("huggingface_hub.errors")
    for error, match in (
        (OSError("no network\nat all"), "no network"),
        (ValueError("offline"), "offline"),
    ):
        monkeypatch.setitem(sys.modules, "huggingface_hub", FakeHub(error))
        with pytest.raises(ModelError, match=rf"org/name: is no file or folder here.*{match}") as e:
            load_decoder("org/name")
        assert "\n" not in str(e.value)
