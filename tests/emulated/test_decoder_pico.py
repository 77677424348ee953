"""Language models on emulated microcontrollers: the host's certificate, its tokens, and faults that are found."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebit.bench.language_device import connect_language_model, prove_on_device
from edgebit.bench.language_model import LanguageModelFolder, command_line, open_language_model
from edgebit.bench.linked import linked_language_model
from edgebit.errors import FitError, LinkError, MismatchError, ModelError, UsageError
from edgebit.toolchain.build import build_export

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))
from decoder_random import export, manifest, random_decoder, run, small_spec

SPEC = small_spec(
    sub_norms=True, tied=True, max_context=56, eos=(3,), width=32, heads=4, head_dim=8, ffn=48, vocab=40
)
GROUPS = small_spec(
    act_quant="none",
    qk_norm=True,
    activation="silu",
    width=144,
    head_dim=24,
    ffn=160,
    layers=1,
    vocab=5,
    max_context=24,
)


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory) -> LanguageModelFolder:
    out = tmp_path_factory.mktemp("pico") / "out"
    return open_language_model(export(random_decoder(SPEC, dtype="bf16"), "pico", out, kv="int8"))


def certificate(spec: Any, folder: Path, *, weights: dict[str, Any], **options: Any) -> str:
    return str(manifest(export(random_decoder(spec, **weights), "host", folder, **options))["certificate"])


def test_the_pico_has_the_hosts_certificate(pico: LanguageModelFolder, tmp_path: Path) -> None:
    assert pico.manifest["kernels"] == [
        "tmatvec_s8__armv6m",
        "rowdots_s8__armv6m",
        "attend_s8__armv6m",
    ]
    rows = {r["item"]: r["bytes"] for r in pico.manifest["fit"]["rows"]}
    linked = linked_language_model(pico, build_export(pico.path))
    for row in linked.rows:
        bound = rows.get(row.item, rows["program data"] + rows["prompt and tokens"])
        if row.item == "arena":
            bound = rows["keys and values, 56 positions"] + rows["scratch of a token"]
        assert 0 < row.bytes <= bound, row
    proof = prove_on_device(pico, emulate="auto")
    assert (proof.runs, proof.threads) == (2, (1,))
    assert proof.certificate == certificate(SPEC, tmp_path / "host", weights={"dtype": "bf16"}, kv="int8")


@pytest.mark.parametrize("board", ["pico", "mps2-an386"])
def test_scales_of_groups_and_floats_as_stored(board: str, tmp_path: Path) -> None:
    weights = {"scales": "group", "group": 128, "bias": True}
    options = {"kv": "f16", "matrix": "source"}
    folder = export(random_decoder(GROUPS, **weights), board, tmp_path / "out", **options)
    proof = prove_on_device(open_language_model(folder), emulate="unicorn")
    assert proof.certificate == certificate(GROUPS, tmp_path / "host", weights=weights, **options)


def test_tokens_are_drawn_as_on_the_host(pico: LanguageModelFolder, tmp_path: Path) -> None:
    host = export(random_decoder(SPEC, dtype="bf16"), "host", tmp_path / "host", kv="int8", golden=False)
    drawing = {"temperature": 1.5, "top_k": 40, "top_p": 0.95, "min_p": 0.01, "repetition_penalty": 1.1}
    asked = [a for k, v in drawing.items() for a in (f"--{k.replace('_', '-')}", str(v))]
    ask = ["--prompt-ids", "5 6 7", "--tokens", "20", "--json", "--seed", "1", *asked]
    want = json.loads(run(host, ask).stdout)["tokens"]
    with connect_language_model(pico, emulate="auto", count=True) as device:
        device.settings(**drawing, seed=1)
        device.prompt_ids([5, 6, 7])
        got = [d.token for d in device.generate(20)]
        assert got == want
        assert len(got) == 20 or got[-1] == 3
        costs = device.cycles()
        assert [layer for layer, _ in costs] == list(range(SPEC.layers + 3))
        assert all(cost > 0 for _, cost in costs)


def test_bench_counts_a_token(pico: LanguageModelFolder, edgebit: Callable[..., Any]) -> None:
    found = edgebit("bench", pico.path, "--emulate", "--json").json
    assert found["metric"] == "modelled cycles"
    assert [p["name"] for p in found["parts"]][-3:] == ["last normalisation", "head", "choice of a token"]
    assert sum(p["value"] for p in found["parts"]) == found["per_token"]
    assert all(p["value"] > 1000 for p in found["parts"])
    assert "use --emulate" in edgebit("bench", pico.path, code=2).err


def test_what_the_device_refuses(pico: LanguageModelFolder) -> None:
    with connect_language_model(pico, emulate="auto") as device:
        with pytest.raises(LinkError, match="out of range"):
            device.step()  # there is nothing to take in
        beyond = [bytes(4 * 57), b"\x28\0\0\0", b"\x01\0\0"]  # the context, the vocabulary, whole numbers
        for raw in beyond:
            with pytest.raises(LinkError, match="out of range"):
                device.link.write_input(0, raw)
        with pytest.raises(LinkError, match="out of range"):
            device.link.write_input(3, bytes(1))  # there is no such input
        with pytest.raises(UsageError, match="57 tokens and the context 56"):
            device.prompt_ids([1] * 57)
        with pytest.raises(UsageError, match="0 to 39"):
            device.prompt_ids([40])
        with pytest.raises(UsageError, match="without a tokenizer"):
            device.prompt_text("x")
        with pytest.raises(UsageError, match="top-p"):
            device.settings(top_p=0.0)
        device.prompt_ids([1])
        assert device.step() is not None  # and goes on


def test_faults_are_named(pico: LanguageModelFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pico.path, copy)
    m = json.loads((copy / "edgebit.json").read_text())
    for key, value in (("context", 0), ("spec", []), ("weight_crcs", None), ("model_id", 1)):
        (copy / "edgebit.json").write_text(json.dumps(m | {key: value}))
        with pytest.raises(ModelError, match="damaged"):
            prove_on_device(open_language_model(copy), emulate="auto")
    m["golden"] = [
        m["golden"][0] | {"layer_crcs": [n ^ (i == 1) for i, n in enumerate(m["golden"][0]["layer_crcs"])]}
    ]
    (copy / "edgebit.json").write_text(json.dumps(m))
    with pytest.raises(MismatchError, match=r"golden run 0: first in layer 1"):
        prove_on_device(open_language_model(copy), emulate="auto")
    image = bytearray(build_export(copy).bin.read_bytes())
    raw = (copy / "tiny.bin").read_bytes()
    image[image.index(raw[64:4096]) + 1000] ^= 1
    build_export(copy).bin.write_bytes(image)
    with pytest.raises(MismatchError, match="weights on the device are not"):
        prove_on_device(open_language_model(copy), emulate="auto")


def test_what_does_not_fit_is_refused_and_context_is_what_fits(tmp_path: Path) -> None:
    long = small_spec(max_context=4096, layers=4)
    folder = export(random_decoder(long), "pico", tmp_path / "out", kv="f16", golden=False)
    m = manifest(folder)
    assert 64 < m["context"] < 4096
    assert 0 <= m["fit"]["free"]["RAM"] < 16 * m["kv_bytes_per_position"] + 4096
    with pytest.raises(FitError, match="a shorter --context"):
        export(random_decoder(long), "pico", tmp_path / "no", kv="f32", context=4096)
    with pytest.raises(FitError, match=r"FLASH is .* too small"):
        export(random_decoder(small_spec(width=1024, ffn=4096)), "pico", tmp_path / "no")
    assert not (tmp_path / "no").exists()
    with pytest.raises(UsageError, match="reached over its link"):
        command_line(open_language_model(folder))
