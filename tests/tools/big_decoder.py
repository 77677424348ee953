"""Writes random checkpoints of the exact shape of bitnet-b1.58-2B-4T, tensor by tensor: speed needs shapes, not sense.

    python tests/tools/big_decoder.py FOLDER [--layers N]

A folder as on Hugging Face (packed trits, bf16 embedding), about 1.2 GB with all 30 layers. `write_peer` writes the
same shape as GGUF for a peer's program, of rows that a peer's own quantiser made.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from decoder_files import MODULES, QUANTISATION, Shape, bf16, config_of, norms_of, pack_bands
from gguf_files import BLOCKS, gguf_string, gguf_value

BITNET_2B = Shape(
    vocab=128256, width=2560, layers=30, heads=20, kv_heads=5, head_dim=128, ffn=6912, context=4096
)
FAMILY = "BitNetForCausalLM"
EMBED_ROWS = 1024  # made once and repeated with another sign: rows need not differ to be as many
F32, F16 = 0, 1

Floats = npt.NDArray[np.float32]
Quantise = Callable[[str, Floats], tuple[int, bytes]]
"""Rows (n, width) in a named format of the peer's: its type number and the bytes."""


def matrices(s: Shape, layer: int) -> Iterator[tuple[str, npt.NDArray[np.int8], float]]:
    """Role, trits and scale of a layer's projections; layers differ."""
    rng = np.random.default_rng([20260101, layer])
    for role in MODULES:
        out, k = s.matrix(role)
        trits = (rng.integers(0, 3, (out, k), np.uint8).view(np.int8)) - np.int8(1)
        yield role, trits, float(np.float32(1.2 / k**0.5))


def embedding(s: Shape, rows: int) -> Floats:
    return np.random.default_rng(7).normal(0, 0.5, (rows, s.width)).astype(np.float32)


def write_checkpoint(folder: Path, s: Shape = BITNET_2B, say: Callable[[str], None] = print) -> None:
    """The packed checkpoint; no more than one layer's matrices are in memory."""
    folder.mkdir(parents=True)
    sizes: list[tuple[str, str, tuple[int, ...], int]] = [
        ("model.embed_tokens.weight", "BF16", (s.vocab, s.width), 2 * s.vocab * s.width),
        ("model.norm.weight", "BF16", (s.width,), 2 * s.width),
    ]
    for layer in range(s.layers):
        stem = f"model.layers.{layer}"
        sizes += [(f"{stem}.{name}.weight", "BF16", (n,), 2 * n) for name, n in norms_of(FAMILY, s).items()]
        for role, module in MODULES.items():
            out, k = s.matrix(role)
            sizes.append((f"{stem}.{module}.weight", "U8", (out // 4, k), out * k // 4))
            sizes.append((f"{stem}.{module}.weight_scale", "BF16", (1,), 2))
    header: dict[str, Any] = {}
    at = 0
    for name, dtype, shape, size in sizes:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with (folder / "model.safetensors").open("wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        some = bf16(embedding(s, EMBED_ROWS))
        for start in range(0, s.vocab, EMBED_ROWS):
            f.write((some[: s.vocab - start] ^ np.uint16(0x8000 * (start // EMBED_ROWS % 2))).tobytes())
        f.write(bf16(np.ones(s.width)).tobytes())
        for layer in range(s.layers):
            say(f"writing layer {layer + 1} of {s.layers}")
            for n in norms_of(FAMILY, s).values():
                f.write(bf16(np.ones(n)).tobytes())
            for _, trits, scale in matrices(s, layer):
                f.write(pack_bands(trits).tobytes())
                f.write(bf16(np.array([scale])).tobytes())
    more = {"quantization_config": QUANTISATION["multiply"]}
    (folder / "config.json").write_text(json.dumps(config_of(FAMILY, s, **more)))


def write_peer(path: Path, quantise: Quantise, body: str, head: str, s: Shape = BITNET_2B) -> int:
    """The shape as GGUF without a vocabulary; returns the bytes of weights that a token reads.

    body, head: the peer's formats of projections and of the embedding, which is the head too ("f16" needs no
    quantiser). All layers hold the bytes of the first: the peer does not know.
    """
    tensors: list[tuple[str, int, tuple[int, ...], bytes, int]] = []
    ones = {n: np.ones(n, "<f4").tobytes() for n in (s.width, s.ffn, s.heads * s.head_dim)}
    rows = embedding(s, EMBED_ROWS)
    kind, raw = (F16, rows.astype("<f2").tobytes()) if head == "f16" else quantise(head, rows)
    total = len(raw) // EMBED_ROWS * s.vocab
    tensors.append(("token_embd.weight", kind, (s.vocab, s.width), raw, total))
    tensors.append(("output_norm.weight", F32, (s.width,), ones[s.width], 4 * s.width))
    packed = {
        role: quantise(body, trits.astype(np.float32) * np.float32(scale))
        for role, trits, scale in matrices(s, 0)
    }
    for layer in range(s.layers):
        for name, n in (("attn_norm", s.width), ("ffn_norm", s.width), ("attn_sub_norm", s.width), ("ffn_sub_norm", s.ffn)):  # fmt: skip
            tensors.append((f"blk.{layer}.{name}.weight", F32, (n,), ones[n], 4 * n))
        for role, (kind, raw) in packed.items():
            tensors.append((f"blk.{layer}.{BLOCKS[role]}.weight", kind, s.matrix(role), raw, len(raw)))
    arch = "bitnet"
    metadata = {
        "general.architecture": arch, "general.name": "random", f"{arch}.block_count": s.layers,
        f"{arch}.context_length": s.context, f"{arch}.embedding_length": s.width, f"{arch}.vocab_size": s.vocab,
        f"{arch}.feed_forward_length": s.ffn, f"{arch}.attention.head_count": s.heads,
        f"{arch}.attention.head_count_kv": s.kv_heads, f"{arch}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{arch}.rope.freq_base": 500000.0, f"{arch}.rope.dimension_count": s.head_dim,
        "tokenizer.ggml.model": "no_vocab",
    }  # fmt: skip
    info = b""
    at = 0
    for name, kind, shape, _, size in tensors:
        dims = tuple(reversed(shape))
        info += gguf_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, at)
        at += -(-size // 32) * 32
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    start += b"".join(gguf_string(k) + gguf_value(v) for k, v in metadata.items()) + info
    with path.open("wb") as f:
        f.write(start + b"\0" * (-len(start) % 32))
        for _, _, _, raw, size in tensors:
            for done in range(0, size, len(raw)):
                f.write(raw[: size - done])
            f.write(b"\0" * (-size % 32))
    return sum(size for *_, size in tensors)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=BITNET_2B.layers)
    options = parser.parse_args()
    write_checkpoint(options.folder, replace(BITNET_2B, layers=options.layers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
