"""Hugging Face folders of every family: what the importer finds is what transformers computes with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_files import (
    MODULES,
    Shape,
    check_projections,
    config_of,
    dense_of,
    library,
    random_tensors,
    write_1bitllm,
    write_folder,
    write_safetensors,
)
from decoder_oracle import load_oracle

from edgebit.decoder.model import PROJECTIONS
from edgebit.decoder.precision import Precision
from edgebit.decoder.reference import Reference
from edgebit.decoder.rope import inverse_frequencies
from edgebit.errors import ModelError, UsageError
from edgebit.importers.base import is_decoder, load_decoder, load_model

SHAPES = {
    "odd": Shape(),
    "grouped": Shape(vocab=130, width=64, layers=1, heads=4, kv_heads=2, head_dim=16, ffn=128),
    "wide heads": Shape(vocab=33, width=64, layers=3, heads=5, kv_heads=5, head_dim=24, ffn=96),
    "not by four": Shape(vocab=33, width=70, layers=1, heads=5, kv_heads=1, head_dim=14, ffn=90),
}
NAMES = dict(zip(PROJECTIONS, MODULES, strict=True))


@pytest.fixture
def oracle() -> Iterator[Any]:
    with library() as bitnet:
        yield bitnet


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("storage", ["multiply", "divide", "trits"])
@pytest.mark.parametrize(
    "family", ["BitNetForCausalLM", "LlamaForCausalLM", "Qwen3ForCausalLM", "BitnetForCausalLM"]
)
def test_packed_checkpoints(tmp_path: Path, family: str, storage: str, shape: str) -> None:
    packed = "I8" if storage == "trits" else "U8"
    dense = write_folder(tmp_path / "m", family, storage, SHAPES[shape], dtype="BF16", packed=packed)
    decoder = load_decoder(tmp_path / "m")
    check_projections(decoder, dense)
    assert decoder.spec.act_quant == "token"
    assert decoder.spec.name == "m"
    assert decoder.spec.eos == (2,)
    assert decoder.spec.bos == 1


@pytest.mark.parametrize("packed", ["BF16", "F16", "F32", "I8"])
def test_packed_bytes_stored_in_other_types(tmp_path: Path, packed: str) -> None:
    dense = write_folder(tmp_path / "m", "LlamaForCausalLM", "divide", packed=packed)
    check_projections(load_decoder(tmp_path / "m"), dense)


@pytest.mark.parametrize("scale_shape", [(), (1,), (1, 1)])
def test_shapes_of_a_scale(tmp_path: Path, scale_shape: tuple[int, ...]) -> None:
    dense = write_folder(tmp_path / "m", "LlamaForCausalLM", "divide", dtype="BF16")
    tensors, _ = random_tensors("LlamaForCausalLM", Shape(), "divide", dtype="BF16")
    scales = {n: (d, a.reshape(scale_shape)) for n, (d, a) in tensors.items() if n.endswith("weight_scale")}
    write_safetensors(tmp_path / "m" / "model.safetensors", {**tensors, **scales})
    check_projections(load_decoder(tmp_path / "m"), dense)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("storage", ["multiply", "divide"])
def test_a_layer_computes_what_the_library_computes(
    tmp_path: Path, oracle: Any, storage: str, bias: bool, shape: str
) -> None:
    """The library's own module, fed the stored tensors, against the formula of TernaryMatrix: bias order included."""
    import torch

    s = SHAPES[shape]
    tensors, _ = random_tensors("LlamaForCausalLM", s, storage, bias=bias)
    write_folder(tmp_path / "m", "LlamaForCausalLM", storage, s, bias=bias)
    decoder = load_decoder(tmp_path / "m")
    rng = np.random.default_rng(1)
    for role in PROJECTIONS:
        out, k = s.matrix(role)
        stem = f"model.layers.0.{MODULES[role]}"
        weight = torch.from_numpy(tensors[f"{stem}.weight"][1])
        scale = torch.from_numpy(tensors[f"{stem}.weight_scale"][1])
        trits = oracle.unpack_weights(weight, dtype=torch.float32)[:out]
        got = decoder.weights.projection(role, 0)
        assert np.array_equal(got.trits, trits.numpy())
        library = trits * scale if storage == "multiply" else trits / scale
        assert np.array_equal(dense_of(got), library.numpy())
        assert got.divisor == (None if storage == "multiply" else float(scale))
        if out % 4 and storage == "divide":
            continue  # the library's own module has no rows for it
        cls = oracle.AutoBitLinear if storage == "multiply" else oracle.BitLinear
        module = cls(k, out, bias=bias, dtype=torch.float32)
        with torch.no_grad():
            module.weight.copy_(trits if storage == "multiply" else weight)
            module.weight_scale.copy_(scale)
            if bias:
                module.bias.copy_(torch.from_numpy(tensors[f"{stem}.bias"][1]))
        x = rng.normal(0, 1, (7, k)).astype(np.float32)
        want = module(torch.from_numpy(x)).detach().numpy()
        step = np.float32(127) / np.maximum(np.abs(x).max(1, keepdims=True), np.float32(1e-5))
        acc = np.clip(np.rint(x * step), -128, 127) @ got.trits.T.astype(np.float32)
        mine = acc * got.scale[0, 0] / step + (0 if got.bias is None else got.bias)
        assert np.allclose(mine, want, rtol=1e-5, atol=1e-5)


CASES = [
    ("LlamaForCausalLM", "tensor", (1, 1), 0),
    ("LlamaForCausalLM", "rows", (96, 1), 0),
    ("LlamaForCausalLM", "columns", (1, 2), 48),
    ("LlamaForCausalLM", "binary", (1, 1), 0),
    ("Qwen3ForCausalLM", "group", (96, 3), 32),
]


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
@pytest.mark.parametrize(("family", "storage", "scales", "group"), CASES)
def test_floats_that_are_ternary(
    tmp_path: Path, family: str, storage: str, scales: tuple[int, int], group: int, dtype: str
) -> None:
    dense = write_folder(tmp_path / "m", family, storage, dtype=dtype)
    decoder = load_decoder(tmp_path / "m")
    check_projections(decoder, dense)
    q = decoder.weights.projection("q", 0)
    assert q.scale.shape == scales
    assert q.group == group
    assert decoder.spec.act_quant == "none"


@pytest.mark.parametrize(("family", "storage", "scales", "group"), CASES)
def test_transformers_loads_the_same_weights(
    tmp_path: Path, oracle: Any, family: str, storage: str, scales: object, group: int
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    s = Shape(width=256, heads=8, kv_heads=2, ffn=512)
    write_folder(tmp_path / "m", family, storage, s, dtype="F16")
    decoder = load_decoder(tmp_path / "m")
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path / "m", dtype=torch.float32, attn_implementation="eager"
    )
    for layer in range(s.layers):
        for role in PROJECTIONS:
            want = model.model.layers[layer].get_submodule(MODULES[role]).weight.detach().numpy()
            assert np.array_equal(dense_of(decoder.weights.projection(role, layer)), want)
    embed = decoder.weights.matrix("embed")
    assert embed.dtype == "f16"
    assert np.array_equal(embed.data.astype(np.float32), model.model.embed_tokens.weight.detach().numpy())
    head = decoder.weights.matrix("head")
    assert np.array_equal(head.data.astype(np.float32), model.lm_head.weight.detach().numpy())
    tokens = np.random.default_rng(0).integers(0, s.vocab, 24)
    want = model(torch.from_numpy(tokens)[None]).logits[0].detach().numpy()
    got = Reference(decoder, Precision("f32", "source", "block"), 64).run(tokens.tolist())
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error < 0.04, error  # int8 inputs in blocks of 128, where the library has floats


@pytest.mark.parametrize("storage", ["multiply", "divide"])
@pytest.mark.parametrize("family", ["BitNetForCausalLM", "LlamaForCausalLM", "Qwen3ForCausalLM"])
def test_logits_of_packed_checkpoints(tmp_path: Path, oracle: Any, family: str, storage: str) -> None:
    import torch

    s = Shape() if family == "BitNetForCausalLM" else Shape(heads=4, kv_heads=2, head_dim=40)
    write_folder(tmp_path / "m", family, storage, s)
    decoder = load_decoder(tmp_path / "m")
    tokens = np.random.default_rng(0).integers(0, s.vocab, 24)
    with torch.no_grad():
        want = load_oracle(oracle, tmp_path / "m")(torch.from_numpy(tokens)[None]).logits[0].numpy()
    got = Reference(decoder, Precision("f32", "source", "token"), 64).run(tokens.tolist())
    near = np.abs(got - want) < 1e-3 * np.abs(want).max()
    assert near.mean() > 0.9, near.mean()  # the rest: a rounding of an activation that fell the other way
    assert np.abs(got - want).max() < 0.05 * np.abs(want).max()


def test_logits_of_1bitllms_architecture(tmp_path: Path, oracle: Any) -> None:
    import torch

    s = Shape()
    write_1bitllm(tmp_path / "m", tmp_path / "twin", s)
    decoder = load_decoder(tmp_path / "m", masters="absmean")
    tokens = np.random.default_rng(0).integers(0, s.vocab, 24)
    with torch.no_grad():
        want = load_oracle(oracle, tmp_path / "twin")(torch.from_numpy(tokens)[None]).logits[0].numpy()
    got = Reference(decoder, Precision("f32", "source", "token"), 64).run(tokens.tolist())
    assert (np.abs(got - want) < 1e-3 * np.abs(want).max()).mean() > 0.9
    assert np.abs(got - want).max() < 0.05 * np.abs(want).max()


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_masters_by_absmean_are_the_librarys(tmp_path: Path, oracle: Any, dtype: str) -> None:
    import torch

    dense = write_folder(tmp_path / "m", "BitnetForCausalLM", "masters", dtype=dtype)
    decoder = load_decoder(tmp_path / "m", masters="absmean")
    assert decoder.spec.sub_norms
    assert decoder.spec.activation == "silu"
    assert decoder.spec.act_quant == "token"
    for (role, layer), master in dense.items():
        got = decoder.weights.projection(role, layer)
        want = oracle.WeightQuant.apply(torch.from_numpy(master)).numpy()
        assert np.array_equal(got.trits, np.sign(want))
        assert np.allclose(dense_of(got), want, rtol=3e-7, atol=0)  # the library's mean is summed in binary32


def test_masters_by_sign(tmp_path: Path) -> None:
    dense = write_folder(tmp_path / "m", "LlamaForCausalLM", "masters")
    decoder = load_decoder(tmp_path / "m", masters="sign")
    for (role, layer), master in dense.items():
        got = decoder.weights.projection(role, layer)
        assert np.array_equal(got.trits, np.where(master > master.mean(dtype=np.float64), 1, -1))
        assert got.scale[0, 0] == np.float32(np.abs(master).mean(dtype=np.float64))


def test_ternary_values_stay_what_they_are_with_the_flag(tmp_path: Path) -> None:
    dense = write_folder(tmp_path / "m", "LlamaForCausalLM", "rows")
    check_projections(load_decoder(tmp_path / "m", masters="absmean"), dense)


ROPES = {
    "default": {"rope_theta": 12345.0},
    "nested": {"rope_parameters": {"rope_theta": 12345.0, "rope_type": "default"}},
    "linear": {"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "llama3": {
        "rope_theta": 5e5,
        "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "llama3 nested": {
        "rope_parameters": {
            "rope_theta": 5e5, "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 24,
        },
    },
    "yarn": {
        "rope_theta": 1e6,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 40},
    },
    "yarn with scales": {
        "rope_parameters": {
            "rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
            "mscale": 1.0, "mscale_all_dim": 0.8, "beta_fast": 16.0, "beta_slow": 2.0,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("rope", ROPES)
def test_rope_is_the_librarys(tmp_path: Path, oracle: Any, rope: str) -> None:
    from transformers import AutoConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    write_folder(tmp_path / "m", "LlamaForCausalLM", "divide", config=ROPES[rope])
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    if "rope_parameters" in ROPES[rope]:
        del config["rope_theta"]
        (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    spec = load_decoder(tmp_path / "m").spec
    library = LlamaRotaryEmbedding(AutoConfig.from_pretrained(tmp_path / "m"))
    inv, scale = inverse_frequencies(spec.rope, spec.head_dim)
    assert np.allclose(inv, library.inv_freq.numpy(), rtol=2e-6, atol=0)
    assert scale == pytest.approx(library.attention_scaling, rel=1e-6)


def test_tied_or_not_follows_the_tensors(tmp_path: Path) -> None:
    family = "BitNetForCausalLM"
    tensors, _ = random_tensors(family, Shape(), "multiply")
    write_folder(tmp_path / "m", family, "multiply")
    assert load_decoder(tmp_path / "m").spec.tied
    embed = tensors["model.embed_tokens.weight"]
    write_safetensors(tmp_path / "m" / "model.safetensors", {**tensors, "lm_head.weight": embed})
    assert load_decoder(tmp_path / "m").spec.tied
    other = (embed[0], embed[1] * 2)
    write_safetensors(tmp_path / "m" / "model.safetensors", {**tensors, "lm_head.weight": other})
    decoder = load_decoder(tmp_path / "m")
    assert not decoder.spec.tied
    assert np.array_equal(decoder.weights.matrix("head").data, other[1])
    (tmp_path / "m" / "config.json").write_text(
        json.dumps(config_of(family, Shape(), tie_word_embeddings=False))
    )
    write_safetensors(tmp_path / "m" / "model.safetensors", tensors)
    with pytest.raises(ModelError, match=r"no tensor lm_head\.weight"):
        load_decoder(tmp_path / "m")


def test_shards(tmp_path: Path) -> None:
    dense = write_folder(tmp_path / "m", "LlamaForCausalLM", "divide")
    tensors, _ = random_tensors("LlamaForCausalLM", Shape(), "divide")
    (tmp_path / "m" / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {n: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, n in enumerate(names)}
    for file in set(files.values()):
        write_safetensors(tmp_path / "m" / file, {n: tensors[n] for n in names if files[n] == file})
    index = tmp_path / "m" / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    check_projections(load_decoder(tmp_path / "m"), dense)
    for bad, match in (
        ({**files, names[0]: "../other.safetensors"}, "no file name of a shard"),
        ({**files, names[0]: "gone.safetensors"}, "is missing"),
        ({**files, names[0]: files[names[1]]}, "does not hold it"),
        ({n: f for n, f in files.items() if n != names[0]}, "does not list"),
    ):
        index.write_text(json.dumps({"weight_map": bad}))
        with pytest.raises(ModelError, match=match):
            load_decoder(tmp_path / "m")


def test_tokens_and_tokenizer_files(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_folder(folder, "LlamaForCausalLM", "divide")
    (folder / "generation_config.json").write_text('{"eos_token_id": [7, 9], "bos_token_id": 5}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "README.md").write_text("no")
    decoder = load_decoder(folder)
    assert decoder.spec.eos == (7, 9, 2)
    assert decoder.spec.bos == 5
    assert dict(decoder.tokenizer) == {"tokenizer.json": b"{}", "chat_template.jinja": b"{{ messages }}"}


def test_how_it_is_found(tmp_path: Path) -> None:
    write_folder(tmp_path / "my model!", "LlamaForCausalLM", "divide")
    assert is_decoder(tmp_path / "my model!")
    assert load_decoder(tmp_path / "my model!").spec.name == "my_model_"
    assert load_decoder(str(tmp_path / "my model!"), name="x").spec.name == "x"
    with pytest.raises(ModelError, match="a language model"):
        load_model(tmp_path / "my model!")
    (tmp_path / "empty").mkdir()
    assert not is_decoder(tmp_path / "empty")
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_decoder(tmp_path / "empty")
    with pytest.raises(ModelError, match="no such file"):
        load_decoder(tmp_path / "missing" / "deep" / "er")
    with pytest.raises(UsageError, match="no option mastres"):
        load_decoder(tmp_path / "my model!", mastres="absmean")
    with pytest.raises(UsageError, match="one of absmean, sign"):
        load_decoder(tmp_path / "my model!", masters="mean")


def test_a_folder_with_a_gguf_in_it(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"to read m\.gguf in it, name that file"):
        load_decoder(tmp_path)


def test_dequantised_falcon_is_known_by_its_configuration(tmp_path: Path) -> None:
    write_folder(tmp_path / "m", "LlamaForCausalLM", "tensor", config={"is_bitnet_config": True})
    assert load_decoder(tmp_path / "m").spec.act_quant == "token"


def test_options_override_what_the_files_say(tmp_path: Path) -> None:
    write_folder(tmp_path / "m", "LlamaForCausalLM", "rows")
    spec = load_decoder(tmp_path / "m", activation="relu2", act_quant="token").spec
    assert (spec.activation, spec.act_quant) == ("relu2", "token")
