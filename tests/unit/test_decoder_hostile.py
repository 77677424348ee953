"""Damaged and hostile checkpoints: one ModelError that names the file, in little time and memory."""

from __future__ import annotations

import json
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_files import Shape, write_folder
from gguf_files import write_gguf_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.decoder.model import PROJECTIONS
from edgebit.errors import ModelError
from edgebit.importers.base import load_decoder

TINY = Shape(vocab=9, width=16, layers=1, heads=2, kv_heads=1, head_dim=8, ffn=16)
SMALL = Shape(vocab=9, width=256, layers=1, heads=2, kv_heads=1, head_dim=128, ffn=256)
MEMORY, SECONDS = 64 << 20, 5.0


def attempt(path: Path, file: str | None = None, **options: Any) -> str | None:
    """Load all of a model; the sentence it is refused with. Anything else than a refusal or success fails the test."""
    text: str | None = None
    started = time.monotonic()
    tracemalloc.start()
    try:
        decoder = load_decoder(path, **options)
        for role in PROJECTIONS:
            decoder.weights.projection(role, 0)
        decoder.weights.matrix("embed")
        decoder.weights.norm("final_norm", None)
    except ModelError as e:
        text = str(e)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEMORY, f"{peak >> 20} MiB"
    assert time.monotonic() - started < SECONDS
    if text is not None:
        assert text.isprintable()
        assert text.isascii()
        assert len(text) < 700
        assert text.startswith(file or "")
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "m", "LlamaForCausalLM", "divide", TINY)
    assert attempt(tmp_path / "m") is None
    return tmp_path / "m"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    metadata = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.tokens": [*"abcdefgh", "ab"],
        "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.token_type": np.ones(9, np.int32),
    }  # fmt: skip
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, SMALL, metadata=metadata)
    assert attempt(tmp_path / "m.gguf") is None
    return tmp_path / "m.gguf"


def header_of(raw: bytes) -> tuple[dict[str, Any], bytes]:
    (n,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


def with_header(header: Any, body: bytes) -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + body


def test_the_exit_code_of_a_refusal() -> None:
    assert ModelError.exit_code == 3


def test_truncated_safetensors(folder: Path) -> None:
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    for n in [*range(64), *range(64, len(raw), 97), len(raw) - 1]:
        path.write_bytes(raw[:n])
        assert "model.safetensors" in (attempt(folder) or ""), n
    path.write_bytes(raw + b"\0")
    assert "after the last tensor" in (attempt(folder) or "")


Change = Callable[[dict[str, Any]], Any]
Q = "model.layers.0.self_attn.q_proj.weight"


def setting(key: str, value: Any) -> Change:
    def change(h: dict[str, Any]) -> Any:
        h[Q][key] = value
        return h

    return change


HEADERS: dict[str, tuple[Change, str]] = {
    "an end past the file": (setting("data_offsets", [0, 1 << 60]), "lies at bytes"),
    "a start after its end": (setting("data_offsets", [64, 0]), "absurd data_offsets"),
    "negative": (setting("data_offsets", [-64, 0]), "absurd data_offsets"),
    "fractions": (setting("data_offsets", [0.0, 64.0]), "absurd data_offsets"),
    "three offsets": (setting("data_offsets", [0, 32, 64]), "absurd data_offsets"),
    "overlap": (setting("data_offsets", [0, 64]), "overlaps|takes|unused"),
    "shape too large": (setting("shape", [1 << 40, 1 << 40]), "takes"),
    "shape too small": (setting("shape", [1, 1]), "takes 1 bytes"),
    "shape of truths": (setting("shape", [True, 64]), "absurd shape"),
    "many dimensions": (setting("shape", [1] * 1000), "absurd shape"),
    "no shape": (setting("shape", None), "absurd shape"),
    "unknown type": (setting("dtype", "F4"), "element type F4"),
    "type of another kind": (setting("dtype", ["U8"]), "element type"),
    "8-byte floats": (setting("dtype", "F64"), "takes"),
    "not an object": (lambda h: [h], "not a JSON object"),
    "an entry that is none": (lambda h: {**h, Q: 7}, "not an object"),
    "nothing": (lambda h: {}, "0 tensors"),
    "a gap": (lambda h: {k: v for k, v in h.items() if k != Q}, "unused|after the last"),
    "a name of control characters": (lambda h: {**h, "a\n\x1b[31m": h[Q]}, "overlaps"),
    "a long name": (lambda h: {**h, "n" * 5000: h[Q]}, "5000 characters"),
    "deep nesting": (lambda h: b"[" * 100_000, "not valid JSON"),
    "a long number": (lambda h: b'{"a":' + b"9" * 100_000 + b"}", "not valid JSON"),
    "not a number": (lambda h: b'{"a": NaN}', "NaN"),
    "not text": (lambda h: b"\xff\xfe{}", "UTF-8"),
    "the same tensor twice": (
        lambda h: (json.dumps(h)[:-1] + f', "{Q}": {json.dumps(h[Q])}}}').encode(), "occurs twice",
    ),
    "the same key twice": (lambda h: json.dumps(h).replace('"dtype"', '"dtype": "U8", "dtype"', 1).encode(), "occurs twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_lie(folder: Path, case: str) -> None:
    path = folder / "model.safetensors"
    header, body = header_of(path.read_bytes())
    change, match = HEADERS[case]
    path.write_bytes(with_header(change(header), body))
    text = attempt(folder, "model.safetensors")
    assert text is not None
    assert any(m in text for m in match.split("|")), text


@pytest.mark.parametrize("length", [0, 1, 1 << 20, 1 << 31, 1 << 62, (1 << 64) - 1])
def test_header_lengths_that_lie(folder: Path, length: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    assert "model.safetensors" in (attempt(folder, "model.safetensors") or "")


def test_a_header_of_a_gigabyte(folder: Path) -> None:
    with (folder / "model.safetensors").open("wb") as f:
        f.write(struct.pack("<Q", 1 << 30))
        f.truncate((1 << 30) + 100)
    assert "the limit is" in (attempt(folder, "model.safetensors") or "")


CONFIGS = {
    "empty": b"", "not JSON": b"{", "a list": b"[]", "twice": b'{"a": 1, "a": 2}', "deep": b'{"a":' * 50_000,
    "large": b'{"a": "' + b"x" * (2 << 20) + b'"}', "not text": b"\xff",
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGS)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_configurations_that_are_none(folder: Path, name: str, case: str) -> None:
    (folder / name).write_bytes(CONFIGS[case])
    assert attempt(folder, name)


def test_files_that_are_folders(folder: Path) -> None:
    (folder / "tokenizer.json").mkdir()
    assert attempt(folder, "tokenizer.json")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    assert attempt(folder)


def test_a_tokenizer_of_gigabytes(folder: Path) -> None:
    with (folder / "tokenizer.json").open("wb") as f:
        f.truncate(4 << 30)
    assert "such a file has at most" in (attempt(folder, "tokenizer.json") or "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FUZZ = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@FUZZ
@given(data=st.data())
def test_fuzzed_configurations(folder: Path, data: st.DataObject) -> None:
    path = folder / "config.json"
    good = (folder / "good.json") if (folder / "good.json").exists() else path
    config = json.loads(good.read_text())
    if good is path:
        (folder / "good.json").write_text(json.dumps(config))
    keys = [
        *config,
        "head_dim",
        "rope_scaling",
        "rope_parameters",
        "layer_types",
        "hidden_act",
        "attention_bias",
    ]
    for key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3)):
        value = data.draw(json_values)
        if key in ("rope_scaling", "rope_parameters") and data.draw(st.booleans()):
            value = {
                "rope_type": data.draw(st.sampled_from(["linear", "llama3", "yarn"])),
                "factor": data.draw(st.floats(allow_nan=False) | st.integers()),
                "low_freq_factor": data.draw(st.floats(allow_nan=False)),
                "high_freq_factor": data.draw(st.floats(allow_nan=False)),
                "original_max_position_embeddings": data.draw(st.integers()),
            }
        config[key] = value
    path.write_text(json.dumps(config).replace("Infinity", "1e999"))
    attempt(folder)


@FUZZ
@given(data=st.data())
def test_fuzzed_safetensors_headers(folder: Path, data: st.DataObject) -> None:
    path, good = folder / "model.safetensors", folder / "good.bin"
    if not good.exists():
        good.write_bytes(path.read_bytes())
    header, body = header_of(good.read_bytes())
    for name in data.draw(st.lists(st.sampled_from(sorted(header)), min_size=1, max_size=3)):
        key = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", None]))
        naturals = st.lists(st.integers(0, 70) | st.integers(0, 1 << 63), max_size=3)
        value = data.draw(json_values | naturals | st.sampled_from(["U8", "F32", "BF16", "I8"]))
        if key is None:
            header[name] = value
        elif isinstance(header[name], dict):
            header[name][key] = value
    path.write_bytes(with_header(json.dumps(header).replace("Infinity", "1e999").encode(), body))
    attempt(folder)


@FUZZ
@given(data=st.data())
def test_fuzzed_bytes(folder: Path, gguf: Path, data: st.DataObject) -> None:
    """Any bytes of either file, front more than back."""
    for path, target in ((folder / "model.safetensors", folder), (gguf, gguf)):
        good = path.with_suffix(".good")
        if not good.exists():
            good.write_bytes(path.read_bytes())
        raw = bytearray(good.read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, 2000) | st.integers(0, len(raw) - 1))
            raw[at % len(raw)] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(raw))
        attempt(target)


# GGUF ---------------------------------------------------------------------------------------------------------


def test_truncated_gguf(gguf: Path) -> None:
    raw = gguf.read_bytes()
    for n in [*range(64), *range(64, 3000, 41), *range(3000, len(raw), 4999), len(raw) - 64]:
        gguf.write_bytes(raw[:n])
        assert attempt(gguf, "m.gguf") is not None, n


EXTREMES = [0, 1, 31, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 63, (1 << 64) - 1]


@pytest.mark.parametrize("value", EXTREMES)
def test_hostile_counts_lengths_and_offsets(gguf: Path, value: int) -> None:
    """Every 8 bytes of the header in turn replaced by one number."""
    raw = gguf.read_bytes()
    end = raw.index(b"blk.0.ffn_down.weight") + 60
    for at in range(4, end, 7):
        bad = bytearray(raw)
        bad[at : at + 8] = struct.pack("<Q", value)
        gguf.write_bytes(bytes(bad))
        attempt(gguf, "m.gguf")


@pytest.mark.parametrize("alignment", [0, 3, 33, 1 << 31, "32", -32])
def test_alignments(tmp_path: Path, alignment: Any) -> None:
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, SMALL, metadata={"general.alignment": alignment})
    assert "alignment" in (attempt(tmp_path / "m.gguf", "m.gguf") or "")


def gguf_head(tensors: int, keys: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + rest


def string(n: int, raw: bytes = b"") -> bytes:
    return struct.pack("<Q", n) + raw


CRAFTED = {
    "version 1": b"GGUF" + struct.pack("<IQQ", 1, 1, 1),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 1, 1),
    "no tensors": gguf_head(0, 0),
    "endless tensors": gguf_head(1 << 40, 0),
    "endless keys": gguf_head(1, 1 << 40),
    "a long key": gguf_head(1, 1, string(1 << 40)),
    "a key that is no text": gguf_head(1, 1, string(2, b"\xff\xff") + struct.pack("<II", 4, 1)),
    "an unknown type of value": gguf_head(1, 1, string(1, b"a") + struct.pack("<I", 99)),
    "an array of arrays": gguf_head(1, 1, string(1, b"a") + struct.pack("<IIQ", 9, 9, 1)),
    "an endless array": gguf_head(1, 1, string(1, b"a") + struct.pack("<IIQ", 9, 4, 1 << 60)),
    "an array that wraps": gguf_head(1, 1, string(1, b"a") + struct.pack("<IIQ", 9, 10, 1 << 61)),
    "a key twice": gguf_head(1, 2, (string(1, b"a") + struct.pack("<II", 4, 1)) * 2),
    "five dimensions": gguf_head(1, 0, string(1, b"a") + struct.pack("<I", 5)),
    "a dimension of nothing": gguf_head(1, 0, string(1, b"a") + struct.pack("<IQIQ", 1, 0, 0, 0)),
    "dimensions that wrap": gguf_head(1, 0, string(1, b"a") + struct.pack("<IQQIQ", 2, 1 << 33, 1 << 33, 0, 0)),
    "a tensor twice": gguf_head(2, 0, (string(1, b"a") + struct.pack("<IQIQ", 1, 8, 0, 0)) * 2 + bytes(64)),
    "an offset that is not aligned": gguf_head(1, 0, string(1, b"a") + struct.pack("<IQIQ", 1, 8, 0, 7) + bytes(64)),
    "overlap": gguf_head(
        2, 0,
        string(1, b"a") + struct.pack("<IQIQ", 1, 64, 0, 0) + string(1, b"b") + struct.pack("<IQIQ", 1, 8, 0, 32)
        + bytes(512),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CRAFTED)
def test_crafted_gguf(tmp_path: Path, case: str) -> None:
    (tmp_path / "m.gguf").write_bytes(CRAFTED[case])
    assert attempt(tmp_path / "m.gguf", "m.gguf")


def test_an_array_of_millions_of_empty_strings(tmp_path: Path) -> None:
    head = gguf_head(1, 1, string(1, b"a") + struct.pack("<IIQ", 9, 8, 1 << 30))
    with (tmp_path / "m.gguf").open("wb") as f:
        f.write(head)
        f.truncate(9 << 30)
    assert "elements; the limit is" in (attempt(tmp_path / "m.gguf", "m.gguf") or "")


def test_names_from_a_file_are_escaped(tmp_path: Path) -> None:
    nasty = b"\x1b[2J\n\xe2\x80\xae" + b"x" * 100
    (tmp_path / "m.gguf").write_bytes(gguf_head(1, 0, string(len(nasty), nasty) + struct.pack("<I", 5)))
    text = attempt(tmp_path / "m.gguf", "m.gguf")
    assert text is not None
    assert "\x1b" not in text


@pytest.mark.parametrize("damage", ["truncated", "lying shape", "hostile gguf"])
def test_the_command_line_says_it_in_a_sentence(
    folder: Path, gguf: Path, tmp_path: Path, edgebit: Callable[..., Any], damage: str
) -> None:
    model, file = folder, "model.safetensors"
    if damage == "truncated":
        path = folder / file
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "lying shape":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 24}))
    else:
        raw = bytearray(gguf.read_bytes())
        raw[8:16] = struct.pack("<Q", 1 << 62)
        gguf.write_bytes(bytes(raw))
        model, file = gguf, "m.gguf"
    ran = edgebit("export", model, "--target", "host", "--out", tmp_path / "out", code=3)
    assert file in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()
