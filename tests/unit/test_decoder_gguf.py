"""GGUF files of every ternary type and architecture; contents checked against an independent writer, and gguf-py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from decoder_files import MODULES, Shape, check_projections, dense_of, library, random_trits, write_folder
from gguf_files import (
    BLOCK,
    Blob,
    f16_blob,
    f32_blob,
    ternary_blob,
    write_gguf_model,
)

from edgebit.bench.npz import read_npz
from edgebit.decoder import canonical
from edgebit.decoder.precision import Precision, choose_precision
from edgebit.decoder.reference import Reference
from edgebit.errors import ModelError
from edgebit.importers._gguf_read import read_gguf
from edgebit.importers._gguf_types import Q2_64, Q2_128, TYPES, decode_blocks, decode_floats, decode_i2_s
from edgebit.importers.base import load_decoder

WIDE = Shape(vocab=67, width=256, layers=2, heads=2, kv_heads=1, head_dim=128, ffn=512)
ODD = Shape(vocab=35, width=256, layers=1, heads=3, kv_heads=3, head_dim=256, ffn=256)
KNOWN = {"bitnet": {"activation": "relu2"}}
TERNARY_IDS = {
    34: "TQ1_0",
    35: "TQ2_0",
    36: "I2_S",
    41: "Q1_0",
    42: "Q2_0",
    142: "PQ2_0",
    143: "PTQ1_0",
    4200: "Q2_0 of 128",
}


@pytest.mark.parametrize(
    ("type_id", "scales"),
    [(t, s) for t in TERNARY_IDS for s in ("one", "row", "block") if t != 36 or s == "one"],  # I2_S has one
)
@pytest.mark.parametrize("arch", ["bitnet", "llama", "qwen3"])
def test_every_type_in_every_architecture(tmp_path: Path, arch: str, type_id: int, scales: str) -> None:
    path = tmp_path / "m.gguf"
    dense = write_gguf_model(path, arch, type_id, WIDE, scales=scales)
    decoder = load_decoder(path, **KNOWN.get(arch, {}))
    check_projections(decoder, dense)
    spec = decoder.spec
    assert (spec.width, spec.heads, spec.kv_heads, spec.head_dim, spec.ffn) == (256, 2, 1, 128, 512)
    assert spec.sub_norms == (arch == "bitnet")
    assert spec.qk_norm == (arch == "qwen3")
    assert spec.tied
    q = decoder.weights.projection("q", 0)
    if scales == "one":
        assert q.scale.shape == (1, 1)
    elif scales == "row":
        assert q.scale.shape == (256, 1)
    else:
        assert decoder.weights.projection("down", 0).group == min(BLOCK[type_id], 128)
    want = {"bitnet": "token", "qwen3": "none", "llama": "token" if scales == "one" else "none"}
    assert spec.act_quant == want[arch]
    exported = canonical.projection(
        decoder, "down", 0, choose_precision(spec)
    )  # what the defaults make of it
    assert exported.group in (64, 128, 512)


@pytest.mark.parametrize("arch", ["bitnet-b1.58", "bitnet-25"])
def test_the_forks_architectures(tmp_path: Path, arch: str) -> None:
    dense = write_gguf_model(tmp_path / "m.gguf", arch, 36, ODD, tied=False)
    decoder = load_decoder(tmp_path / "m.gguf")
    check_projections(decoder, dense)
    assert decoder.spec.activation == "relu2"
    assert not decoder.spec.tied


@pytest.mark.parametrize("layout", ["128", "64", "rows4"])
def test_layouts_of_i2_s(tmp_path: Path, layout: str) -> None:
    dense = write_gguf_model(tmp_path / "m.gguf", "bitnet-25", 36, WIDE, layout=layout)
    decoder = load_decoder(tmp_path / "m.gguf", i2_s=layout)
    check_projections(decoder, dense)
    assert any(f"layout {layout}" in n for n in decoder.notes)
    other = load_decoder(tmp_path / "m.gguf", i2_s="128" if layout != "128" else "64")
    assert not np.array_equal(dense_of(other.weights.projection("q", 0)), dense["q", 0])


@pytest.mark.parametrize("shape", [WIDE, ODD])
def test_rotated_rows_of_llama_are_put_back(tmp_path: Path, shape: Shape) -> None:
    dense = write_gguf_model(tmp_path / "m.gguf", "llama", 35, shape)
    t = read_gguf(tmp_path / "m.gguf").tensors["blk.0.attn_q.weight"]
    trits, d = decode_blocks(t.type, t.data().reshape(-1, 66), "")
    assert not np.array_equal((trits * d[:, None]).reshape(dense["q", 0].shape), dense["q", 0])
    check_projections(load_decoder(tmp_path / "m.gguf"), dense)


@pytest.mark.parametrize("type_id", [34, 35])
@pytest.mark.parametrize("arch", ["llama", "qwen3"])
def test_transformers_reads_the_same_model(tmp_path: Path, arch: str, type_id: int) -> None:
    """Its GGUF reader knows neither bitnet nor the newer types, but llama's order of rows and TQ1_0 and TQ2_0."""
    pytest.importorskip("gguf", reason="gguf-py is not installed, which transformers reads GGUF with")
    path, s = tmp_path / "m.gguf", WIDE
    write_gguf_model(path, arch, type_id, s, tied=False, metadata={"general.file_type": 37})
    decoder = load_decoder(path)
    with library():
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
        from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

        config = AutoConfig.for_model(**load_gguf_checkpoint(str(path))["config"])
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)
        model.load_state_dict(read["tensors"])
        tokens = [1, 5, 9, 2, 33, 4, 60, 12]
        want = model(torch.tensor([tokens])).logits[0].detach().numpy()
    for layer in range(s.layers):
        for role, module in MODULES.items():
            weight = model.model.layers[layer].get_submodule(module).weight.detach().numpy()
            assert np.array_equal(dense_of(decoder.weights.projection(role, layer)), weight), role
    got = Reference(decoder, Precision("f32", "source", "block"), 16).run(tokens)
    assert np.abs(got - want).max() < 0.03 * np.abs(want).max()  # int8 inputs, where the library has floats


def test_activation_of_bitnet(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_gguf_model(path, "bitnet", 35, WIDE)
    with pytest.raises(ModelError, match=r"m\.gguf: .*do not record their activation.*--activation relu2"):
        load_decoder(path)
    assert load_decoder(path, activation="silu").spec.activation == "silu"
    write_gguf_model(path, "bitnet", 35, WIDE, metadata={"bitnet.hidden_activation": "relu2"})
    assert load_decoder(path).spec.activation == "relu2"
    write_gguf_model(path, "bitnet", 35, WIDE, metadata={"bitnet.hidden_activation": "gelu"})
    with pytest.raises(ModelError, match="gelu is not supported"):
        load_decoder(path)


def test_known_shapes_need_no_flag() -> None:
    from edgebit.importers._gguf_config import KNOWN_BITNETS

    assert KNOWN_BITNETS[30, 2560, 6912, 20] == "relu2"
    assert KNOWN_BITNETS[26, 3200, 8640, 32] == "silu"


@pytest.mark.parametrize("act_quant", ["token", "none"])
def test_activation_quantisation_can_be_said(tmp_path: Path, act_quant: str) -> None:
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE)
    assert load_decoder(tmp_path / "m.gguf", act_quant=act_quant).spec.act_quant == act_quant


@pytest.mark.parametrize("dtype", ["F16", "F32"])
def test_floats_that_are_ternary(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(0)
    blob = f16_blob if dtype == "F16" else f32_blob
    extra, dense = {}, {}
    for layer in range(WIDE.layers):
        for role, name in (("o", "attn_output"), ("down", "ffn_down")):
            w = (random_trits(rng, WIDE.matrix(role)) * np.float32(0.0625)).astype(np.float32)
            extra[f"blk.{layer}.{name}.weight"], dense[role, layer] = blob(w), w
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra=extra)
    decoder = load_decoder(tmp_path / "m.gguf")
    for (role, layer), want in dense.items():
        assert np.array_equal(dense_of(decoder.weights.projection(role, layer)), want)
    q = f32_blob(rng.normal(0, 1, WIDE.matrix("q")))
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra={"blk.0.attn_q.weight": q})
    with pytest.raises(ModelError, match=r"tensor blk\.0\.attn_q\.weight: its values are not ternary"):
        load_decoder(tmp_path / "m.gguf")
    assert load_decoder(tmp_path / "m.gguf", masters="absmean").weights.projection("q", 0).scale.shape == (
        1,
        1,
    )


def test_scales_and_biases_beside_the_weights(tmp_path: Path) -> None:
    bias = np.arange(256, dtype=np.float32)
    extra = {
        "blk.0.attn_v.scale": f32_blob(np.array([3.0], np.float32)),
        "blk.0.attn_q.bias": f32_blob(bias),
    }
    dense = write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra=extra)
    decoder = load_decoder(tmp_path / "m.gguf")
    assert np.array_equal(dense_of(decoder.weights.projection("v", 0)), (dense["v", 0] * np.float32(3)))
    got = decoder.weights.projection("q", 0).bias
    assert got is not None
    head = np.concatenate([np.arange(0, 128, 2), np.arange(1, 128, 2)])
    assert np.array_equal(got, np.concatenate([head, 128 + head]))


@pytest.mark.parametrize("type_id", [2, 6, 8, 12, 13, 14, 34, 35])
def test_block_types_are_those_of_gguf_py(type_id: int) -> None:
    gguf = pytest.importorskip("gguf", reason="gguf-py is not installed, so it cannot be the oracle")
    kind = TYPES[type_id]
    rng = np.random.default_rng(type_id)
    raw = rng.integers(0, 256, (40, kind.bytes), dtype=np.uint8)
    halves = {2: [0], 6: [0], 8: [0], 12: [0, 2], 13: [0, 2], 14: [208], 34: [52], 35: [64]}[type_id]
    for at in halves:
        raw[:, at : at + 2] = rng.uniform(0.001, 1, (40, 1)).astype("<f2").view(np.uint8)
    if type_id == 35:
        raw[:, :64] = (rng.integers(0, 3, (40, 64, 4)) << np.array([0, 2, 4, 6])).sum(-1)
    want = gguf.dequantize(raw.reshape(-1, kind.bytes), gguf.GGMLQuantizationType(type_id))
    if type_id in (34, 35):
        trits, d = decode_blocks(kind, raw, "")
        got = trits * d[:, None]
    else:
        got = decode_floats(kind, raw)
    assert np.array_equal(got, want.reshape(got.shape))


@pytest.mark.parametrize("type_id", [34, 35])
def test_the_writer_of_these_tests_is_gguf_pys(type_id: int) -> None:
    gguf = pytest.importorskip("gguf", reason="gguf-py is not installed, so it cannot be the oracle")
    rng = np.random.default_rng(0)
    trits = random_trits(rng, (8, 512))
    scale = rng.uniform(0.1, 1, (8, 2)).astype(np.float16).astype(np.float32)
    w = trits * np.repeat(scale, 256, axis=1)
    want = gguf.quantize(w.astype(np.float32), gguf.GGMLQuantizationType(type_id))
    assert ternary_blob(type_id, trits, scale).raw == want.tobytes()


def test_shared_files(shared: Path) -> None:
    folder = shared / "models" / "gguf"
    if not folder.is_dir():
        pytest.skip("the shared GGUF files are not here")
    golden = read_npz(folder / "golden.npz")
    seen = 0
    for path in sorted(folder.glob("*.gguf")):
        (tensor,) = read_gguf(path).tensors.values()
        if tensor.type.name == "I2_S":
            trits, one = decode_i2_s(tensor.data(), (4, 512), "128", path.name)
            got = trits * one
        else:
            trits, d = decode_blocks(tensor.type, tensor.data().reshape(-1, tensor.type.bytes), path.name)
            got = (trits * d[:, None]).reshape(4, 512)
        assert np.array_equal(got, golden[path.name]), path.name
        seen += 1
    assert seen
    for name, type_id, kind in (
        ("q2_0_g64_id42", 42, Q2_64), ("q2_0_legacy_g128_id42", 4200, Q2_128), ("pq2_0_id142", 142, TYPES[142]),
        ("ptq1_0_id143", 143, TYPES[143]),
    ):  # fmt: skip
        w = golden[f"{name}.gguf"]  # the files of these were not kept, only their values
        scale = np.abs(w).reshape(4, -1, kind.block).max(2)
        raw = np.frombuffer(ternary_blob(type_id, np.sign(w).astype(np.int8), scale).raw, np.uint8)
        trits, d = decode_blocks(kind, raw.reshape(-1, kind.bytes), name)
        assert np.array_equal((trits * d[:, None]).reshape(4, 512), w), name


@pytest.mark.parametrize(
    ("type_id", "kind"), [(2, "Q4_0"), (8, "Q8_0"), (12, "Q4_K"), (14, "Q6_K"), (35, "TQ2_0")]
)
def test_quantised_embeddings(tmp_path: Path, type_id: int, kind: str) -> None:
    rng = np.random.default_rng(0)
    t = TYPES[type_id]
    assert t.name == kind
    raw = rng.integers(0, 64, (67 * 256 // t.block, t.bytes), dtype=np.uint8)
    if type_id == 35:
        raw[:, :64] = 0b10010001
    embed = Blob(type_id, (67, 256), raw.tobytes())
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra={"token_embd.weight": embed})
    found = load_decoder(tmp_path / "m.gguf").weights.matrix("embed")
    assert found.dtype == "f32"
    assert found.data.shape == (67, 256)
    if type_id != 35:
        assert np.array_equal(found.data.reshape(-1, t.block), decode_floats(t, raw))


@pytest.mark.parametrize("type_id", [35, 36, 142])
def test_ternary_embeddings_and_heads(tmp_path: Path, type_id: int) -> None:
    rng = np.random.default_rng(0)
    trits = random_trits(rng, (64, 256))
    scale = np.full((64, 256 // BLOCK.get(type_id, 256)), 0.25)
    blob = ternary_blob(type_id, trits, scale)
    s = replace(WIDE, vocab=64)
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, s, extra={"output.weight": blob})
    decoder = load_decoder(tmp_path / "m.gguf")
    assert not decoder.spec.tied
    head = decoder.weights.matrix("head")
    assert head.dtype == "f32"
    assert np.array_equal(head.data, trits * np.float32(0.25))
    assert decoder.weights.matrix("embed").dtype == "f16"


def test_the_embedding_stays_in_its_precision(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0x3E00, 0x4000, (67, 256)).astype("<u2")
    extra = {"token_embd.weight": Blob(30, (67, 256), bits.tobytes())}
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, WIDE, extra=extra)
    weights = load_decoder(tmp_path / "m.gguf").weights
    assert weights.matrix("embed").dtype == "bf16"
    assert np.array_equal(weights.matrix("head").data, bits)


def test_masters_of_a_folder_and_of_a_file_are_one_model(tmp_path: Path) -> None:
    """A network converted to TQ2_0 by absmean is the one that the importer makes of its masters."""
    s = Shape(vocab=67, width=256, layers=1, heads=2, kv_heads=2, head_dim=128, ffn=256)
    masters = write_folder(tmp_path / "m", "LlamaForCausalLM", "masters", s)
    decoder = load_decoder(tmp_path / "m", masters="absmean")
    extra = {}
    for (role, _), w in masters.items():
        got = decoder.weights.projection(role, 0)
        assert np.abs(w).mean() == pytest.approx(float(got.scale[0, 0]), rel=1e-6)
        if role == "v":
            blocks = np.full((w.shape[0], w.shape[1] // 256), got.scale[0, 0])
            extra["blk.0.attn_v.weight"] = ternary_blob(35, got.trits, blocks)
    write_gguf_model(tmp_path / "m.gguf", "llama", 35, s, extra=extra)
    again = load_decoder(tmp_path / "m.gguf").weights.projection("v", 0)
    assert np.array_equal(again.trits, decoder.weights.projection("v", 0).trits)
    assert again.scale[0, 0] == np.float32(np.float16(decoder.weights.projection("v", 0).scale[0, 0]))
