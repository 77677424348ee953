"""transformers as the oracle, in float32 and eager: a model folder as one of its models, and what goes through it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from decoder_files import MODULES

Array = npt.NDArray[Any]
NORMS = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm", "attn_sub_norm": "self_attn.attn_sub_norm", "ffn_sub_norm": "mlp.ffn_sub_norm",
}  # fmt: skip


def load_oracle(bitnet: Any, folder: Path, *, whole: bool = False) -> Any:
    """The model of a folder (its own loader wants another package where BitNet layers are). bitnet: of library().

    whole: a packed model whose configuration names AutoBitLinear, which multiplies inputs divided by their steps, gets
    transformers' other layers, BitLinear, which multiply whole numbers.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils.quantization_config import BitNetQuantConfig

    config = AutoConfig.from_pretrained(folder)
    asked = getattr(config, "quantization_config", None)
    if asked is None:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    quant = BitNetQuantConfig(**{k: v for k, v in asked.items() if k != "quant_method"})
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    if whole:
        assert quant.quantization_mode == "offline"
        quant.linear_class = "bitlinear"
    bitnet.replace_with_bitnet_linear(model, ["lm_head"], quant)
    rotary = type(model.model.rotary_emb)
    model = model.to_empty(device="cpu")
    model.model.rotary_emb = rotary(config)
    modules = dict(model.named_modules())
    with torch.no_grad():
        for name, tensor in load_file(folder / "model.safetensors").items():
            owner, leaf = name.rsplit(".", 1)
            packed = leaf == "weight" and isinstance(modules[owner], bitnet.AutoBitLinear)
            if packed and tensor.dtype == torch.uint8:
                tensor = bitnet.unpack_weights(tensor, dtype=torch.float32)
            if whole and leaf == "weight_scale":
                tensor = 1 / tensor.float()  # BitLinear divides by it
            getattr(modules[owner], leaf).copy_(tensor)
        model.tie_weights()
    return model


@dataclass
class Tape:
    """What went through a model, by operation and layer (None: outside of layers): arrays of all tokens in order.

    A norm's and a projection's role: (inputs, outputs), each (tokens, n); "embed" and "head" too, and "block", a
    whole layer. "sums": what bitnet.BitLinear multiplied, by (role, layer): (int8, sums). "rope": q, k (windows, heads,
    T, hd), cos, sin (T, hd), q and k turned. "attention": q, k, v, out (windows, T, heads, hd).
    """

    seen: dict[tuple[str, int | None], tuple[Array, ...]] = field(default_factory=dict)
    sums: dict[tuple[str, int], tuple[Array, Array]] = field(default_factory=dict)
    logits: Array = field(default_factory=lambda: np.empty(0))


def _rows(x: Any) -> Array:
    """(windows, T, ..., n) as (windows * T, ..., n)."""
    a: Array = x.detach().numpy()
    return a.reshape(-1, *a.shape[2:])


@contextmanager
def _patched(module: Any, **new: Any) -> Iterator[None]:
    old = {name: getattr(module, name) for name in new}
    for name, value in new.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in old.items():
            setattr(module, name, value)


def trace(bitnet: Any, model: Any, ids: Array) -> Tape:
    """Run windows of tokens (windows, T) and keep everything."""
    import torch

    tape, turned = Tape(), []
    hooks = []

    def watch(module: Any, role: str, layer: int | None) -> None:
        def hook(_m: Any, given: tuple[Any, ...], out: Any) -> None:
            out = out[0] if isinstance(out, tuple) else out
            tape.seen[role, layer] = (_rows(given[0]), _rows(out))

        hooks.append(module.register_forward_hook(hook))

    def count(module: Any, role: str, layer: int) -> None:
        quantise, finish = bitnet.BitLinear.activation_quant, bitnet.BitLinear.post_quant_process

        def activation_quant(x: Any, num_bits: int = 8) -> Any:
            q, scale = quantise(module, x, num_bits)
            tape.sums[role, layer] = (_rows(q), np.empty(0))
            return q, scale

        def post_quant_process(y: Any, input_scale: Any, weight_scale: Any) -> Any:
            tape.sums[role, layer] = (tape.sums[role, layer][0], _rows(y))
            return finish(module, y, input_scale, weight_scale)

        module.activation_quant, module.post_quant_process = activation_quant, post_quant_process

    for layer, block in enumerate(model.model.layers):
        watch(block, "block", layer)
        names = dict(block.named_modules())
        for role, name in {**NORMS, **MODULES}.items():
            if name in names:
                watch(names[name], role, layer)
                if isinstance(names[name], bitnet.BitLinear):
                    count(names[name], role, layer)
    watch(model.model.norm, "final_norm", None)
    watch(model.lm_head, "head", None)
    own = importlib.import_module(type(model).__module__)
    rope, attend = own.apply_rotary_pos_emb, own.eager_attention_forward

    def apply_rotary_pos_emb(q: Any, k: Any, cos: Any, sin: Any, **more: Any) -> Any:
        out = rope(q, k, cos, sin, **more)
        turned.append(tuple(a.detach().numpy() for a in (q, k, cos[0], sin[0], *out)))
        return out

    def eager_attention_forward(module: Any, q: Any, k: Any, v: Any, *rest: Any, **more: Any) -> Any:
        out = attend(module, q, k, v, *rest, **more)
        tape.seen["rope", module.layer_idx] = turned.pop()
        parts = (*(a.transpose(1, 2) for a in (q, k, v)), out[0])
        tape.seen["attention", module.layer_idx] = tuple(a.detach().numpy().copy() for a in parts)
        return out

    try:
        with (
            torch.no_grad(),
            _patched(
                own,
                apply_rotary_pos_emb=apply_rotary_pos_emb,
                eager_attention_forward=eager_attention_forward,
            ),
        ):
            tape.logits = model(torch.from_numpy(ids)).logits.numpy()
    finally:
        for h in hooks:
            h.remove()
        for _, module in model.named_modules():
            module.__dict__.pop("activation_quant", None)
            module.__dict__.pop("post_quant_process", None)
    return tape


WINDOW, WINDOWS = 256, 40
PLAY_FROM = 1_000_000  # characters of the play that come before
SHIPPED = Path(__file__).resolve().parents[2] / "examples" / "shakespeare"
TRAINED: dict[str, dict[str, str]] = {"shipped": {}, "packed": {}, "masters": {"masters": "absmean"}}
"""Trained models, and how they are read: the shipped one, and the shared character model in both its packings."""


def trained(name: str, shared: Path) -> tuple[Path, Array]:
    """The folder of a trained model, and 10 240 tokens of a play (its last tenth) in windows of its context."""
    play = shared / "data" / "text" / "tinyshakespeare.txt"
    if not play.is_file():
        pytest.skip("the play that models are tried on is not among the shared files")
    text = play.read_text()
    part = text[PLAY_FROM:]
    if name == "shipped":
        tokenizers = pytest.importorskip("tokenizers", reason="the tokenizers package is not installed")
        ids = tokenizers.Tokenizer.from_file(str(SHIPPED / "tokenizer.json")).encode(part).ids
        folder = SHIPPED
    else:
        chars = "".join(sorted(set(text)))
        ids = [chars.index(c) for c in part[: WINDOW * WINDOWS]]
        which = "packed_bitlinear" if name == "packed" else "fp32_master_online"
        folder = shared / "models" / "charlm_bitnet" / which
    if not folder.is_dir():
        pytest.skip(f"the model {folder.name} is not among the shared ones")
    return folder, np.array(ids[: WINDOW * WINDOWS]).reshape(WINDOWS, WINDOW)
