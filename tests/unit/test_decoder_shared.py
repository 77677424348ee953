"""The shared character-level BitNet, in both packings: imported, then run by transformers to the golden logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_files import library

from edgebit.bench.npz import read_npz
from edgebit.decoder.model import PROJECTIONS, Decoder
from edgebit.errors import ModelError
from edgebit.importers.base import load_decoder

FOLDERS = {"packed_bitlinear": {}, "fp32_master_online": {"masters": "absmean"}}


@pytest.fixture
def charlm(shared: Path) -> Path:
    folder = shared / "models" / "charlm_bitnet"
    if not folder.is_dir():
        pytest.skip("the shared character-level BitNet is not here")
    return folder


def test_both_packings_are_the_same_model(charlm: Path) -> None:
    packed, masters = (load_decoder(charlm / f, **o) for f, o in FOLDERS.items())
    for layer in range(packed.spec.layers):
        for role in PROJECTIONS:
            a, b = packed.weights.projection(role, layer), masters.weights.projection(role, layer)
            assert np.array_equal(a.trits, b.trits)
            assert np.allclose(a.scale, b.scale, rtol=2e-7, atol=0)
            assert set(np.unique(a.trits)) == {-1, 0, 1}
    assert packed.spec.tied
    assert packed.spec.sub_norms
    assert packed.spec.activation == "relu2"
    assert b'"chars"' in packed.tokenizer["char_vocab.json"]


def test_masters_are_not_quantised_unasked(charlm: Path) -> None:
    with pytest.raises(ModelError, match=r"q_proj\.weight: its values are float masters.*--masters absmean"):
        load_decoder(charlm / "fp32_master_online")


@pytest.mark.parametrize("name", FOLDERS)
def test_transformers_computes_the_golden_logits_from_it(charlm: Path, name: str) -> None:
    golden = read_npz(charlm / "golden.npz")
    decoder = load_decoder(charlm / name, **FOLDERS[name])
    with library():
        logits = run_in_transformers(decoder, golden["input_ids"])
    assert np.abs(logits - golden["logits"]).max() < 2e-5
    assert np.array_equal(logits.argmax(-1), golden["logits"].argmax(-1))


def run_in_transformers(d: Decoder, tokens: Any) -> Any:
    """Logits of transformers' BitNet (float32, eager) with the weights the importer found."""
    import torch
    from transformers import BitNetConfig, BitNetForCausalLM
    from transformers.integrations.bitnet import replace_with_bitnet_linear
    from transformers.utils.quantization_config import BitNetQuantConfig

    s = d.spec
    config = BitNetConfig(
        vocab_size=s.vocab, hidden_size=s.width, intermediate_size=s.ffn, num_hidden_layers=s.layers,
        num_attention_heads=s.heads, num_key_value_heads=s.kv_heads, max_position_embeddings=s.max_context,
        rms_norm_eps=s.norm_eps, hidden_act=s.activation, tie_word_embeddings=s.tied, bos_token_id=None,
        eos_token_id=None, rope_parameters={"rope_theta": s.rope.theta, "rope_type": s.rope.kind},
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = BitNetForCausalLM(config).float().eval()
    rotary = model.model.rotary_emb
    replace_with_bitnet_linear(model, ["lm_head"], BitNetQuantConfig(linear_class="autobitlinear"))
    model = model.to_empty(device="cpu")
    model.model.rotary_emb = type(rotary)(config)
    modules = dict(zip(PROJECTIONS, ("q_proj", "k_proj", "v_proj", "o_proj"), strict=False))
    modules = {r: f"self_attn.{m}" for r, m in modules.items()} | {
        r: f"mlp.{r}_proj" for r in ("gate", "up", "down")
    }
    norms = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "attn_sub_norm": "self_attn.attn_sub_norm", "ffn_sub_norm": "mlp.ffn_sub_norm",
    }  # fmt: skip

    def put(parameter: Any, values: Any) -> None:
        parameter.copy_(torch.from_numpy(np.array(values, np.float32)))

    with torch.no_grad():
        for layer in range(s.layers):
            block = model.model.layers[layer]
            for role, module in modules.items():
                found = d.weights.projection(role, layer)
                put(block.get_submodule(module).weight, found.trits)
                put(block.get_submodule(module).weight_scale, found.scale[0])
            for role, module in norms.items():
                put(block.get_submodule(module).weight, d.weights.norm(role, layer))
        put(model.model.norm.weight, d.weights.norm("final_norm", None))
        put(model.model.embed_tokens.weight, d.weights.matrix("embed").data)
        model.tie_weights()
        return model(torch.from_numpy(tokens)).logits.numpy()
