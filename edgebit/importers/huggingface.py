"""Hugging Face folders: config.json, safetensors and tokenizer files to a Decoder.

Reads ternary checkpoints of `BitNetForCausalLM`, 1bitLLM's `BitnetForCausalLM`, `LlamaForCausalLM` and
`Qwen3ForCausalLM`. A projection's weights are one of

- packed: four trits a byte in four bands of rows, with a `weight_scale` that multiplies (linear_class autobitlinear)
  or divides (bitlinear);
- ternary in value: floats that are 0 or plus or minus a scale of the matrix, a row, a band of columns or a group
  of inputs;
- float masters, which are quantised only when the caller says how.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgebit.decoder.model import Decoder
from edgebit.importers._blob import read_bytes
from edgebit.importers._hf_config import CONFIG, read_config
from edgebit.importers._hf_weights import HfWeights
from edgebit.importers._safetensors import open_folder
from edgebit.importers.base import DecoderOptions

__all__ = ["load_decoder", "sniff", "suffixes"]

suffixes: tuple[str, ...] = ()

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "char_vocab.json",
)
MAX_TOKENIZER = 64 << 20


def sniff(path: Path) -> bool:
    """Is it a folder with a config.json?"""
    return path.is_dir() and (path / CONFIG).is_file()


def load_decoder(path: Path, options: DecoderOptions) -> Decoder:
    """The language model in the folder at `path`. Weights stay on disk until asked for; raises ModelError."""
    name = options.name or re.sub(r"[^A-Za-z0-9_.\-]", "_", path.resolve().name)[:64] or "model"
    config = read_config(path, name)
    weights = HfWeights(config, open_folder(path), options)
    spec = options.applied(weights.spec)
    weights.spec = spec
    weights.projection(
        "q", 0
    )  # a model that is not ternary is refused here and not in the middle of an export
    notes = [*weights.notes, *_notes(weights, options)]
    found = {n: read_bytes(path / n, MAX_TOKENIZER, n) for n in TOKENIZER_FILES if (path / n).exists()}
    return Decoder(spec, weights, found, source=name, notes=tuple(notes))


def _notes(weights: HfWeights, options: DecoderOptions) -> list[str]:
    config = weights.config
    notes = [f"read as {config.architecture}"]
    if options.masters is not None:
        notes.append(f"float masters are quantised by {options.masters}, as asked")
    if options.masters == "sign":
        notes.append(
            "activations are quantised as in BitNet b1.58 (127 steps to the largest), not to the first's 128"
        )
    if options.weight_scale is not None and options.weight_scale != config.convention:
        notes.append(f"weight_scale is used to {options.weight_scale}, as asked")
    if weights.spec.act_quant == "none":
        notes.append("trained with float activations: nothing in the checkpoint says they were quantised")
    return notes
