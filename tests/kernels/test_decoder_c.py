"""The static C of decoders equals the NumPy reference bit for bit: every logit, any threads, every kind of model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoder_random import export, logits, manifest, random_decoder, run, small_spec

from edgebit.bench.language_model import open_language_model, prove
from edgebit.decoder.model import DecoderSpec, Rope
from edgebit.decoder.precision import choose_precision
from edgebit.decoder.reference import Reference
from edgebit.errors import MismatchError, UsageError

LONG = small_spec(name="long", kv_heads=3, heads=3, activation="silu", qk_norm=True)
MODELS: dict[str, tuple[DecoderSpec, dict[str, Any], dict[str, Any]]] = {
    "bitnet": (
        small_spec(sub_norms=True, tied=True, rope=Rope(theta=5e5)),
        {"dtype": "bf16"},
        {"kv": "f16", "matrix": "source"},
    ),
    "llama": (
        small_spec(activation="silu", head_dim=20, heads=5, kv_heads=1, ffn=200, width=100),
        {"bias": True, "dtype": "f16"},
        {"kv": "f32", "matrix": "source"},
    ),
    "qwen_groups": (
        small_spec(act_quant="none", qk_norm=True, activation="silu", width=272, ffn=400, head_dim=32),
        {"scales": "group", "group": 128},
        {"kv": "int8", "matrix": "int8"},
    ),
    "bands": (
        small_spec(act_quant="none", activation="silu", width=208, ffn=400, heads=12, layers=1),
        {"scales": "group", "group": 192, "bias": True},
        {"kv": "f16", "matrix": "int8"},
    ),
    "half_groups": (
        small_spec(act_quant="none", activation="silu", width=208, ffn=336, layers=1),
        {"scales": "group", "group": 64},
        {"kv": "f16", "matrix": "int8"},
    ),
    "rows": (LONG, {"scales": "row"}, {"kv": "f16", "matrix": "int8"}),
    "four_bits": (
        small_spec(vocab=83, width=80, tied=True),
        {"dtype": "bf16"},
        {"kv": "f16", "matrix": "int4"},
    ),
    "float_inputs": (
        small_spec(act_quant="none", activation="silu", width=144, ffn=176),
        {"scales": "group", "group": 64, "bias": True},
        {"matrix": "int8", "acts": "f32"},
    ),
    "groups_of_16": (
        small_spec(width=56, ffn=72, vocab=1, eos=(0,)),
        {"scales": "group", "group": 16, "bias": True},
        {"kv": "f32", "matrix": "source"},
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_every_logit_is_the_references(kind: str, tmp_path: Path) -> None:
    spec, weights, options = MODELS[kind]
    decoder = random_decoder(spec, **weights)
    folder = export(decoder, "host", tmp_path / "out", **options)
    ids = np.random.default_rng(7).integers(0, spec.vocab, 290).tolist()
    precision = choose_precision(spec, **options)
    want = Reference(decoder, precision, 300).run(ids).view(np.uint32)
    for threads in ("1", "3"):
        got = logits(folder, ids, spec.vocab, "--threads", threads)
        assert np.array_equal(got.view(np.uint32), want), f"{threads} threads"
    less = logits(folder, ids[:40], spec.vocab, "--context", "40")
    assert np.array_equal(less.view(np.uint32), want[:40])
    assert prove(open_language_model(folder), threads=(1, 2)).runs == 2


def test_a_wide_normalisation_adds_in_the_order_of_the_reference(tmp_path: Path) -> None:
    """All three sets of lanes, three eights that are left, and four numbers."""
    spec = small_spec(vocab=9, width=256 * 32 + 17 * 32 + 28, layers=1, heads=2, kv_heads=1, ffn=32, eos=(0,))
    decoder = random_decoder(spec)
    options = {"kv": "f32", "matrix": "source"}
    folder = export(decoder, "host", tmp_path / "out", **options)
    want = Reference(decoder, choose_precision(spec, **options), 4).run([1, 5, 8, 2]).view(np.uint32)
    assert np.array_equal(logits(folder, [1, 5, 8, 2], spec.vocab, "--threads", "1").view(np.uint32), want)


def test_reference_kernels_and_gcc_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The portable kernels alone, compiled by the system's compiler, keep the certificate."""
    import decoder_random

    spec, weights, options = MODELS["rows"]
    decoder = random_decoder(spec, **weights)
    first = manifest(export(decoder, "host", tmp_path / "a", **options))
    real = decoder_random.exporter.plan_decoder

    def portable(*args: Any, **named: Any) -> Any:
        import dataclasses

        core = dataclasses.replace(args[3], isa=("ref",))
        return real(*args[:3], core, *args[4:], **named)

    monkeypatch.setattr(decoder_random.exporter, "plan_decoder", portable)
    folder = export(decoder, "host", tmp_path / "b", **options)
    second = manifest(folder)
    assert all(k.endswith("__ref") for k in second["kernels"])
    assert second["certificate"] == first["certificate"]
    proof = prove(open_language_model(folder), threads=(2,), toolchain="gcc")
    assert proof.certificate == first["certificate"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(random_decoder(small_spec(eos=(3,))), "host", tmp_path_factory.mktemp("tiny") / "out")


def test_same_input_same_folder(tiny: Path, tmp_path: Path) -> None:
    again = export(random_decoder(small_spec(eos=(3,))), "host", tmp_path / "out")
    for path in sorted(p for p in tiny.rglob("*") if p.is_file()):
        assert path.read_bytes() == (again / path.relative_to(tiny)).read_bytes(), path


def test_a_wrong_weight_is_found_and_named(tiny: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    weights = copy / "tiny.bin"
    raw = bytearray(weights.read_bytes())
    raw[-70000] ^= 1  # in one of the last tensors, past all projections
    weights.write_bytes(raw)
    damaged = run(copy, ["--prompt-ids", "1", "--check"])
    assert damaged.returncode == 3
    assert b"is damaged (its checksum differs)" in damaged.stderr
    weights.write_bytes(raw[:-1])
    short = run(copy, ["--prompt-ids", "1"])
    assert short.returncode == 3
    assert b"bytes where" in short.stderr
    other = export(random_decoder(small_spec(eos=(3,)), seed=1), "host", tmp_path / "other")
    weights.write_bytes((other / "tiny.bin").read_bytes())
    foreign = run(copy, ["--prompt-ids", "1"])
    assert foreign.returncode == 3
    assert b"another model" in foreign.stderr
    weights.unlink()
    assert run_missing(copy) == 3


def run_missing(folder: Path) -> int:
    import subprocess

    program = folder.with_name(folder.name + ".build") / "firmware.elf"
    return subprocess.run([program, "--prompt-ids", "1"], capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ((), 2, b"a prompt of at least one token"),
        (("--prompt-ids", "77"), 2, b"0 to 76"),
        (("--prompt-ids", "-1"), 2, b"0 to 76"),
        (("--prompt-ids", "1x"), 2, b"0 to 76"),
        (("--prompt-ids",), 2, b"its value is missing"),
        (("--prompt", "x"), 2, b"without a tokenizer"),
        (("--prompt", "x", "--prompt-ids", "1"), 2, b"exclude each other"),
        (("--prompt-ids", "1", "--threads", "0"), 2, b"1 to 64"),
        (("--prompt-ids", "1", "--context", "301"), 2, b"1 to 300"),
        (("--prompt-ids", "1 2 3", "--context", "2"), 2, b"3 tokens and the context 2"),
        (("--prompt-ids", "1", "--top-p", "nan"), 2, b"--top-p takes"),
        (("--nonsense",), 2, b"no such option"),
    ],
)
def test_bad_arguments_are_a_sentence(tiny: Path, args: tuple[str, ...], code: int, says: bytes) -> None:
    done = run(tiny, args)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert done.stdout == b""


def test_text_ends_at_an_end_token_or_a_full_context(tiny: Path) -> None:
    import json

    def tokens(*args: str) -> list[int]:
        found: list[int] = json.loads(run(tiny, ["--json", "--prompt-ids", "1 2", *args]).stdout)["tokens"]
        return found

    on = tokens("--tokens", "50", "--go-on", "--temperature", "3", "--seed", "5")
    assert len(on) == 50
    assert tokens("--tokens", "50", "--go-on", "--temperature", "3", "--seed", "5") == on
    assert tokens("--tokens", "50", "--go-on", "--temperature", "3", "--seed", "6") != on
    assert len(tokens("--tokens", "50", "--go-on", "--context", "10")) == 9
    seeds = (tokens("--tokens", "200", "--temperature", "9", "--seed", str(s)) for s in range(9))
    ended = next(t for t in seeds if len(t) < 200)
    assert ended[-1] == 3
    assert 3 not in ended[:-1]


def test_a_mismatch_names_the_layer(tiny: Path, tmp_path: Path) -> None:
    import json
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    m = manifest(copy)
    m["golden"][0]["layer_crcs"][1] ^= 1
    (copy / "edgebit.json").write_text(json.dumps(m))
    with pytest.raises(MismatchError, match=r"golden run 0: first in layer 1"):
        prove(open_language_model(copy), threads=(1,))


def test_what_cannot_be_exported_leaves_nothing_behind(tmp_path: Path) -> None:
    decoder = random_decoder(small_spec())
    for target, options, why in (
        ("cortex-m0plus", {}, "exported for boards"),
        ("host", {"context": 301}, r"1\.\.300"),
        ("host", {"kv": "f8"}, "--kv f8"),
    ):
        with pytest.raises(UsageError, match=why):
            export(decoder, target, tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_context_beyond_memory_is_refused_before_it_is_touched(tmp_path: Path) -> None:
    spec = small_spec(
        width=16, ffn=16, vocab=16, layers=512, heads=1, kv_heads=1, head_dim=2, max_context=1 << 21
    )
    folder = export(random_decoder(spec), "host", tmp_path / "out", context=1 << 21, kv="f32", golden=False)
    refused = run(folder, ["--prompt-ids", "1", "--tokens", "2"])
    assert refused.returncode == 4, "this machine has more than 68 GB of free memory"
    assert b"at a context of 2097152 exceed the" in refused.stderr
    assert run(folder, ["--prompt-ids", "1", "--tokens", "2", "--context", "64"]).returncode == 0
    if Path("/proc/sys/vm/overcommit_memory").read_text().strip() != "2":
        assert run(folder, ["--prompt-ids", "1", "--tokens", "2", "--force"]).returncode == 0
