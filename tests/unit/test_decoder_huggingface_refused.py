"""Hugging Face folders that are refused: configurations, scales and tensors no ternary decoder has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_files import (
    Shape,
    check_projections,
    pack_bands,
    random_tensors,
    stored,
    write_folder,
    write_safetensors,
)

from edgebit.errors import ModelError
from edgebit.importers.base import load_decoder

REFUSED = {
    "longrope": ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "longrope is not supported"),
    "dynamic": ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "dynamic is not supported"),
    "partial rotation": ({"partial_rotary_factor": 0.5}, "part of a head"),
    "activation": ({"hidden_act": "gelu"}, "hidden_act gelu"),
    "architecture": ({"architectures": ["MambaForCausalLM"]}, "MambaForCausalLM is not supported"),
    "quantisation": ({"quantization_config": {"quant_method": "gptq"}}, "gptq is not ternary"),
    "MLX": ({"quantization": {"group_size": 128, "bits": 2}}, "MLX weights"),
    "norms before": (
        {"quantization_config": {"quant_method": "bitnet", "use_rms_norm": True}}, "use_rms_norm",
    ),
    "float layers": (
        {"quantization_config": {"quant_method": "bitnet", "modules_to_not_convert": ["mlp.down_proj"]}},
        "leaves model.layers.0.mlp.down_proj unquantised",
    ),
    "sliding window": ({"use_sliding_window": True}, "sliding-window"),
    "layer types": ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
    "width": ({"hidden_size": 97, "head_dim": 32}, r"its shape is \[96\], but by config.json it is \[97\]"),
    "huge width": ({"hidden_size": 1 << 40}, "width is 1099511627776"),
    "vocabulary": ({"vocab_size": 68}, r"embed_tokens.weight: its shape is \[67, 96\]"),
    "more layers": ({"num_hidden_layers": 3}, "there is no tensor model.layers.2"),
    "fewer layers": ({"num_hidden_layers": 1}, "model.layers.1.*no such tensor"),
    "no layers": ({"num_hidden_layers": 0}, "layers is 0"),
    "heads": ({"num_attention_heads": 4, "num_key_value_heads": 3, "head_dim": 32}, "4 heads"),
    "no heads": ({"num_attention_heads": 0}, "num_attention_heads 0"),
    "a truth": ({"num_hidden_layers": True}, "num_hidden_layers is True"),
    "a text": ({"hidden_size": "96"}, "hidden_size is 96, not a whole number"),
    "epsilon": ({"rms_norm_eps": -1}, "epsilon"),
    "token": ({"eos_token_id": [2, 67]}, "67, outside of the vocabulary"),
    "biases": ({"attention_bias": True}, "there is no tensor model.layers.0.self_attn.q_proj.bias"),
    "no scale": ({"quantization_config": None}, "--weight-scale"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_configurations_that_are_refused(tmp_path: Path, case: str) -> None:
    config, match = REFUSED[case]
    write_folder(tmp_path / "m", "LlamaForCausalLM", "divide", config=config)
    with pytest.raises(ModelError, match=match) as e:
        load_decoder(tmp_path / "m")
    assert str(e.value).isprintable()
    assert len(str(e.value).splitlines()) == 1


SCALES = {
    "zero": 0.0,
    "negative": -0.05,
    "not finite": np.inf,
    "the wrong convention": 1 / 50,
    "absurd": 1e-30,
}


@pytest.mark.parametrize("case", SCALES)
def test_scales_that_no_network_has(tmp_path: Path, case: str) -> None:
    tensors, _ = random_tensors("LlamaForCausalLM", Shape(), "divide")
    tensors["model.layers.0.self_attn.q_proj.weight_scale"] = stored(np.array([SCALES[case]]), "F32")
    write_folder(tmp_path / "m", "LlamaForCausalLM", "divide")
    write_safetensors(tmp_path / "m" / "model.safetensors", tensors)
    with pytest.raises(ModelError, match=r"q_proj\.weight_scale"):
        load_decoder(tmp_path / "m")


def test_a_wrong_convention_can_be_overruled(tmp_path: Path) -> None:
    from decoder_files import QUANTISATION

    dense = write_folder(
        tmp_path / "m", "LlamaForCausalLM", "multiply", config={"quantization_config": QUANTISATION["divide"]}
    )
    check_projections(load_decoder(tmp_path / "m", weight_scale="multiply"), dense)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("model.layers.0.self_attn.q_proj.weight", pack_bands(np.full((96, 96), 2, np.int8))),
        ("model.layers.0.self_attn.q_proj.weight_scale", np.ones(96, np.float32)),
    ],
)
def test_packed_tensors_that_are_not(tmp_path: Path, name: str, bad: Any) -> None:
    tensors, _ = random_tensors("LlamaForCausalLM", Shape(), "divide")
    tensors[name] = ("U8" if bad.dtype == np.uint8 else "F32", bad)
    write_folder(tmp_path / "m", "LlamaForCausalLM", "divide")
    write_safetensors(tmp_path / "m" / "model.safetensors", tensors)
    with pytest.raises(ModelError, match=r"code 3|one scale"):
        load_decoder(tmp_path / "m")


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.self_attn.q_proj.norm.weight", "model.layers.0.mlp.experts.0.weight", "adapter.A"],
)
def test_tensors_that_would_be_lost(tmp_path: Path, name: str) -> None:
    tensors, _ = random_tensors("LlamaForCausalLM", Shape(), "divide")
    write_folder(tmp_path / "m", "LlamaForCausalLM", "divide")
    write_safetensors(tmp_path / "m" / "model.safetensors", {**tensors, name: stored(np.ones(3), "F32")})
    with pytest.raises(ModelError, match=rf"tensor {name}: .* would be lost"):
        load_decoder(tmp_path / "m")


@pytest.mark.parametrize("family", ["BitnetForCausalLM", "LlamaForCausalLM"])
def test_masters_need_the_flag(tmp_path: Path, family: str) -> None:
    write_folder(tmp_path / "m", family, "masters")
    with pytest.raises(
        ModelError,
        match=r"model\.safetensors: tensor model\.layers\.0\.self_attn\.q_proj\.weight: .*--masters",
    ):
        load_decoder(tmp_path / "m")


def test_a_matrix_that_is_not_ternary_is_named(tmp_path: Path) -> None:
    tensors, _ = random_tensors("LlamaForCausalLM", Shape(), "tensor")
    dtype, a = tensors["model.layers.1.mlp.up_proj.weight"]
    a[5, 7] = 0.01
    write_folder(tmp_path / "m", "LlamaForCausalLM", "tensor")
    write_safetensors(
        tmp_path / "m" / "model.safetensors", {**tensors, "model.layers.1.mlp.up_proj.weight": (dtype, a)}
    )
    decoder = load_decoder(tmp_path / "m")
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj\.weight: its values are not ternary"):
        decoder.weights.projection("up", 1)


@pytest.mark.parametrize("levels", [[-1.5, -0.5, 0.5, 1.5], [-1, -1 / 3, 1 / 3, 1], [-2, -1, 0, 1]])
def test_four_levels_are_not_ternary(tmp_path: Path, levels: list[float]) -> None:
    rng = np.random.default_rng(0)
    tensors, _ = random_tensors("LlamaForCausalLM", Shape(), "tensor")
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors[name] = stored(rng.choice(levels, Shape().matrix("q")), "F16")
    write_folder(tmp_path / "m", "LlamaForCausalLM", "tensor")
    write_safetensors(tmp_path / "m" / "model.safetensors", tensors)
    with pytest.raises(ModelError, match=r"q_proj\.weight: its values are not ternary"):
        load_decoder(tmp_path / "m")
