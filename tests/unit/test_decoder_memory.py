"""Importing streams: the exact shape of bitnet-b1.58-2B-4T passes through in little more than its packed size."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decoder_files import MODULES, QUANTISATION, Shape, config_of, norms_of
from gguf_files import gguf_metadata, gguf_string, gguf_value

BIG = Shape(vocab=128256, width=2560, layers=30, heads=20, kv_heads=5, head_dim=128, ffn=6912, context=4096)
BONSAI = Shape(vocab=512, width=4096, layers=1, heads=32, kv_heads=8, head_dim=128, ffn=14336)

READ_ALL = """
import sys
from edgebit.importers.base import load_decoder
from edgebit.decoder.model import PROJECTIONS
d = load_decoder(sys.argv[1])
trits = 0
for layer in range(d.spec.layers):
    for role in PROJECTIONS:
        trits += d.weights.projection(role, layer).trits.size
    d.weights.norm("attn_norm", layer)
embed = d.weights.matrix("embed")
checked = int(embed.data[::64].astype("u8").sum())
status = open("/proc/self/status").read()
print(trits, int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


def peak(path: Path) -> tuple[int, int]:
    """Trits read and peak resident bytes of a fresh process. (getrusage would count its parent's memory too, which a
    process inherits until it runs a program of its own.)"""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of resident memory is read from /proc, which is not here")
    ran = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(path)], capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    trits, high = map(int, ran.stdout.split())
    print(f"peak {high / 1e6:.0f} MB")
    return trits, high


def sparse_folder(folder: Path, family: str, s: Shape, quantised: bool) -> int:
    """A checkpoint that is nearly all holes; the bytes its packed form takes. Packed holes are trits of -1."""
    folder.mkdir()
    sizes: dict[str, tuple[str, list[int], int]] = {}
    float16 = "BF16" if quantised else "F16"
    sizes["model.embed_tokens.weight"] = (float16, [s.vocab, s.width], 2 * s.vocab * s.width)
    sizes["model.norm.weight"] = (float16, [s.width], 2 * s.width)
    packed = 2 * s.vocab * s.width
    for layer in range(s.layers):
        for name, width in norms_of(family, s).items():
            sizes[f"model.layers.{layer}.{name}.weight"] = (float16, [width], 2 * width)
        for role, module in MODULES.items():
            out, k = s.matrix(role)
            packed += out * k // 4
            stem = f"model.layers.{layer}.{module}"
            if quantised:
                sizes[f"{stem}.weight"] = ("U8", [out // 4, k], out * k // 4)
                sizes[f"{stem}.weight_scale"] = ("BF16", [1], 2)
            else:
                sizes[f"{stem}.weight"] = ("F16", [out, k], 2 * out * k)
    header, at, scales = {}, 0, []
    for name, (dtype, shape, size) in sizes.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        scales += [at] if name.endswith("weight_scale") else []
        at += size
    head = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        for offset in scales:
            f.seek(8 + len(head) + offset)
            f.write(struct.pack("<H", 0x3F80))
        f.truncate(8 + len(head) + at)
    more = {"quantization_config": QUANTISATION["multiply"]} if quantised else {}
    (folder / "config.json").write_text(json.dumps(config_of(family, s, **more)))
    return packed


def test_2b_4t_packed(tmp_path: Path) -> None:
    packed = sparse_folder(tmp_path / "m", "BitNetForCausalLM", BIG, True)
    assert 1.15e9 < packed < 1.25e9
    trits, high = peak(tmp_path / "m")
    assert trits == sum(np.prod(BIG.matrix(r)) for r in MODULES) * BIG.layers
    assert high < 1.5 * packed + 300e6


def test_floats_that_are_ternary_take_no_more(tmp_path: Path) -> None:
    packed = sparse_folder(tmp_path / "m", "Qwen3ForCausalLM", BONSAI, False)
    stored = (tmp_path / "m" / "model.safetensors").stat().st_size
    _, high = peak(tmp_path / "m")
    assert high < 1.5 * packed + 300e6 < stored


def test_2b_4t_as_gguf(tmp_path: Path) -> None:
    """I2_S, as published: all of it in one file."""
    s, infos, at = BIG, b"", 0
    scales: list[int] = []

    def add(name: str, type_id: int, dims: list[int], size: int) -> None:
        nonlocal infos, at
        infos += gguf_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_id, at)
        at += -(-size // 32) * 32

    add("token_embd.weight", 1, [s.width, s.vocab], 2 * s.vocab * s.width)
    add("output_norm.weight", 0, [s.width], 4 * s.width)
    count = 2
    blocks = dict(
        zip(
            MODULES,
            ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"),
            strict=True,
        )
    )
    for layer in range(s.layers):
        for name, width in (
            ("attn_norm", s.width),
            ("ffn_norm", s.width),
            ("attn_sub_norm", s.width),
            ("ffn_sub_norm", s.ffn),
        ):
            add(f"blk.{layer}.{name}.weight", 0, [width], 4 * width)
        for role, block in blocks.items():
            out, k = s.matrix(role)
            scales.append(at + out * k // 4)
            add(f"blk.{layer}.{block}.weight", 36, [k, out], out * k // 4 + 32)
        count += 11
    metadata = gguf_metadata("bitnet-b1.58", s)
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(metadata))
    head += b"".join(gguf_string(k) + gguf_value(v) for k, v in metadata.items()) + infos
    head += b"\0" * (-len(head) % 32)
    path = tmp_path / "m.gguf"
    with path.open("wb") as f:
        f.write(head)
        for offset in scales:
            f.seek(len(head) + offset)
            f.write(struct.pack("<f", 1.5))
        f.truncate(len(head) + at)
    _, high = peak(path)
    assert high < 1.5 * at + 300e6
