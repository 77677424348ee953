"""Perplexity of exported language models, and what inspect says of them before the export."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.decoder.precision import Precision
from edgebit.decoder.reference import Reference
from edgebit.importers.base import load_decoder

CHARS = "\n abcdefghijklmnopqrstuvwxyzéαß.,"
TEXT = "the cat, the dég and αll ßirds.\n" * 5
CONTEXT = 24


def _nats(model: Path, ids: list[int], window: int, precision: Precision) -> float:
    """What the NumPy reference makes of the same windows, a token at a time, in plain Python."""
    reference = Reference(load_decoder(str(model)), precision, context=window)
    total = 0.0
    for start in range(0, len(ids) - 1, window - 1):
        part = ids[start : start + window]
        reference.reset()
        logits = reference.run(part)
        for row, wanted in zip(logits[:-1], part[1:], strict=True):
            values = [float(v) for v in row]
            total += math.log(math.fsum(math.exp(v - max(values)) for v in values)) + max(values)
            total -= values[wanted]
    return total


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory, decoder_files: Any) -> Path:
    """A random model that knows some characters, a few of two bytes."""
    folder = tmp_path_factory.mktemp("random") / "letters"
    shape = decoder_files.Shape(vocab=len(CHARS), context=64)
    decoder_files.write_folder(folder, "LlamaForCausalLM", "multiply", shape, dtype="BF16")
    (folder / "char_vocab.json").write_text(json.dumps({"chars": CHARS}))
    return folder


@pytest.fixture(scope="module")
def exported(random_model: Path, edgebit: Callable[..., Any]) -> Path:
    out = random_model.parent / "host"
    edgebit(
        "export", random_model, "-t", "host", "-o", out, "--context", CONTEXT, "--no-golden", "--kv", "int8"
    )
    return out


@pytest.fixture(scope="module")
def decoder_files() -> Any:
    """The maker of random checkpoints that the unit tests have."""
    folder = str(Path(__file__).resolve().parents[1] / "unit")
    sys.path.insert(0, folder)
    try:
        import decoder_files as module
    finally:
        sys.path.remove(folder)
    return module


def test_perplexity_is_that_of_the_reference(
    exported: Path, random_model: Path, tmp_path: Path, edgebit: Callable[..., Any]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    ids = [CHARS.index(c) for c in TEXT]
    found = edgebit("perplexity", exported, "--text", text, "--json").json
    want = _nats(random_model, ids, CONTEXT, Precision(kv="int8"))
    assert found["nats"] == pytest.approx(want, rel=1e-12)
    assert found["tokens_counted"] == len(TEXT) - 1
    assert found["bytes_counted"] == len(TEXT.encode()) - 1
    assert found["perplexity"] == pytest.approx(math.exp(want / (len(TEXT) - 1)), rel=1e-12)
    assert found["bits_per_byte"] == pytest.approx(want / math.log(2) / (len(TEXT.encode()) - 1), rel=1e-12)
    assert found["kind"] == "measured"
    assert found["precision"] == {"kv": "int8", "head": "s8", "activations": "token"}
    some = edgebit("perplexity", exported, "--text", text, "--limit", 30, "--window", 7, "--json").json
    assert some["nats"] == pytest.approx(_nats(random_model, ids[:30], 7, Precision(kv="int8")), rel=1e-12)
    assert (some["tokens_counted"], some["tokens_read"], some["window"]) == (29, len(TEXT), 7)
    assert some["bytes_counted"] == len(TEXT[:30].encode()) - 1
    table = edgebit("perplexity", exported, "--text", text, "--limit", 30).out
    assert f"29 of {len(TEXT)}" in table
    assert "measured on this machine" in table


def test_what_has_no_perplexity_is_a_sentence(
    exported: Path, tmp_path: Path, edgebit: Callable[..., Any]
) -> None:
    def said(raw: bytes, *more: object, code: int = 2, folder: Path = exported) -> str:
        text = tmp_path / "text.txt"
        text.write_bytes(raw)
        return str(edgebit("perplexity", folder, "--text", text, *more, code=code).err)

    assert "there is no such file" in edgebit("perplexity", exported, "--text", tmp_path / "no", code=2).err
    assert "not a file" in edgebit("perplexity", exported, "--text", tmp_path, code=2).err
    assert "the file is empty" in said(b"")
    assert "not a UTF-8 text (byte 1 is 0xff)" in said(b"a\xff")
    assert "takes two" in said(b"a")
    assert "--limit 1 leaves one token" in said(b"abc", "--limit", 1)
    assert "the text has a character, after 1 tokens" in said(b"aXb")
    assert f"2 to {CONTEXT}" in said(b"abc", "--window", CONTEXT + 1)
    assert "not an export folder" in said(b"abc", folder=tmp_path)
    record = json.loads((exported / "edgebit.json").read_text())
    for change, code, words in (
        ({"kind": "network"}, 2, "no language model"),
        ({"tokenizer": False}, 2, "without a tokenizer"),
        ({"context": -5}, 3, "its context"),
        ({"spec": []}, 3, "its vocab"),
        ({"spec": {"vocab": 9}}, 3, "another vocabulary"),
        ({"spec": {"vocab": 99}}, 3, "another size"),
    ):
        (exported / "edgebit.json").write_text(json.dumps(record | change))
        assert words in said(b"the cat", code=code), change
    (exported / "edgebit.json").write_text(json.dumps(record))
    assert edgebit("perplexity", exported, "--text", tmp_path / "text.txt", "--json").json["nats"] > 0


def test_inspect_says_what_the_export_will_read(
    exported: Path, random_model: Path, edgebit: Callable[..., Any]
) -> None:
    how = ("--context", CONTEXT, "--kv", "int8")
    found = edgebit("inspect", random_model, "--board", "host", *how, "--json").json
    record = json.loads((exported / "edgebit.json").read_text())
    assert found["parameters"]["ternary"] == record["weights"]["count"]
    spec = record["spec"]
    assert found["parameters"]["embedding_and_head"] == 2 * spec["vocab"] * spec["width"]
    assert found["parameters"]["norms"] == (2 * spec["layers"] + 1) * spec["width"]
    (host,) = found["boards"]
    assert host["bits_per_weight"] == record["weights"]["bits_per_weight"]
    assert host["bytes_per_token"] == record["weights"]["bytes_per_token"]
    assert host["kv_bytes_per_position"] == record["kv_bytes_per_position"]
    assert host["estimate"] is None
    boards = {b["board"]: b for b in edgebit("inspect", random_model, *how, "--json").json["boards"]}
    assert set(boards) >= {"rpi4", "rpi5"}
    pi = boards["rpi5"]
    assert pi["estimate"]["kind"] == "estimate"
    assert pi["estimate"]["tokens_per_second"] == pytest.approx(10.3e9 / pi["bytes_per_token"])
    last = pi["bytes_per_token"] + (CONTEXT - 1) * pi["kv_bytes_per_position"]
    assert pi["estimate"]["tokens_per_second_at_last_position"] == pytest.approx(10.3e9 / last)
    assert "estimate from memory bandwidth alone" in edgebit("inspect", random_model).out
    assert "unknown" in edgebit("inspect", random_model, "--board", "pico").out  # it has no memory bandwidth
    assert "--kv f8" in edgebit("inspect", random_model, "--kv", "f8", code=2).err


def test_a_trained_model_predicts_its_text(shared: Path, tmp_path: Path, edgebit: Callable[..., Any]) -> None:
    model = shared / "models" / "charlm_bitnet" / "packed_bitlinear"
    play = shared / "data" / "text" / "tinyshakespeare.txt"
    if not (model.is_dir() and play.is_file()):
        pytest.skip("the trained character model or its text is not there")
    edgebit("export", model, "-t", "host", "-o", tmp_path / "host", "--context", 128, "--no-golden")
    text = tmp_path / "part.txt"
    text.write_text(play.read_text()[:500])
    found = edgebit("perplexity", tmp_path / "host", "--text", text, "--json").json
    chars = json.loads((model / "char_vocab.json").read_text())["chars"]
    ids = [chars.index(c) for c in text.read_text()]
    assert found["nats"] == pytest.approx(_nats(model, ids, 128, Precision()), rel=1e-12)
    frequencies = np.bincount(ids) / len(ids)
    blind = -sum(p * math.log(p) for p in frequencies if p)  # knows the letters' frequencies and no more
    assert found["perplexity"] < 0.7 * math.exp(blind)
    for board in edgebit("inspect", model, "--json").json["boards"]:
        assert 1.6 <= board["bits_per_weight"] <= 2.0
