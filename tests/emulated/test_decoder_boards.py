"""Language models as Raspberry Pi programs under QEMU's user emulation: the host's certificate, and no illegal
instruction on a processor that the program was not made for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgebit.bench.language_model import command_line, open_language_model, prove
from edgebit.decoder.precision import choose_precision
from edgebit.decoder.reference import Reference
from edgebit.toolchain.build import build_export

sys.path.insert(0, str(Path(__file__).parents[1] / "kernels"))
from decoder_random import export, logits_of, manifest, random_decoder, run, small_spec

QEMU = shutil.which("qemu-aarch64")
pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-aarch64 is not installed")
SPEC = small_spec(sub_norms=True, width=80, ffn=144, activation="silu")


@pytest.fixture(scope="module")
def host_certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = export(random_decoder(SPEC), "host", tmp_path_factory.mktemp("host") / "out")
    return str(manifest(folder)["certificate"])


@pytest.fixture(scope="module")
def folder_of_a_pi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(random_decoder(SPEC), "rpi4", tmp_path_factory.mktemp("pi") / "out", golden=False)


@pytest.mark.parametrize("target", ["rpi5", "rpi4"])
def test_the_certificate_is_the_hosts(target: str, host_certificate: str, tmp_path: Path) -> None:
    folder = export(random_decoder(SPEC), target, tmp_path / "out")
    proof = prove(open_language_model(folder), emulate="auto", threads=(1, 2))
    assert proof.certificate == host_certificate
    assert proof.runs == 2


def test_four_bit_heads_and_float_inputs(tmp_path: Path) -> None:
    decoder = random_decoder(small_spec(act_quant="none", width=80), scales="row")
    how = {"matrix": "int4", "acts": "f32"}
    want = manifest(export(decoder, "host", tmp_path / "host", **how))["certificate"]
    for target in ("rpi5", "rpi4"):
        folder = export(decoder, target, tmp_path / target, **how)
        assert prove(open_language_model(folder), emulate="auto", threads=(2,)).certificate == want
        assert all("__neon" in k for k in manifest(folder)["kernels"])


@pytest.mark.parametrize("kv", ["f32", "f16", "int8"])
def test_every_logit_far_into_the_context(kv: str, tmp_path: Path) -> None:
    folder = export(random_decoder(SPEC, dtype="bf16"), "rpi5", tmp_path / "out", kv=kv, matrix="source")
    ids = np.random.default_rng(3).integers(0, SPEC.vocab, 270).tolist()
    want = Reference(
        random_decoder(SPEC, dtype="bf16"), choose_precision(SPEC, kv=kv, matrix="source"), 300
    ).run(ids)
    done = run(
        folder, ["--logits", "--threads", "2", "--prompt-ids", " ".join(map(str, ids))], emulate="qemu"
    )
    assert np.array_equal(logits_of(done, len(ids), SPEC.vocab).view(np.uint32), want.view(np.uint32))


def test_a_pi_4_refuses_a_pi_5_program_in_a_sentence(tmp_path: Path) -> None:
    folder = export(random_decoder(SPEC), "rpi5", tmp_path / "out", golden=False)
    elf = build_export(folder).elf
    assert QEMU is not None
    for cpu, code in (("cortex-a72", 7), ("cortex-a53", 7), ("cortex-a76", 0)):
        done = subprocess.run(
            [QEMU, "-cpu", cpu, elf, "--help"], capture_output=True, check=False, timeout=60
        )
        assert done.returncode == code, cpu
        if code:
            assert b"made for the Arm Cortex-A76" in done.stderr
            assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        ("0x0", ""),
        ("0x1", "holds its processor back: low supply voltage (0x1). Use the supply"),
        ("2", "holds its processor back: capped clock (0x2). Cool it"),
        ("50005", "holds its processor back: low supply voltage, throttled (0x50005). Use the supply"),
        ("0x80008", "holds its processor back: limit of temperature (0x80008). Cool it"),
        ("40000", "has held its processor back since it was started: throttled (0x40000). Cool it"),
        ("nonsense", ""),
    ],
)
def test_a_board_that_is_held_back_is_told_of(
    bits: str, words: str, folder_of_a_pi: Path, tmp_path: Path
) -> None:
    """The file in which a Pi's kernel says so, where the emulator looks for it first."""
    sysfs = tmp_path / "sys" / "devices" / "platform" / "soc" / "soc:firmware"
    sysfs.mkdir(parents=True)
    (sysfs / "get_throttled").write_text(f"{bits}\n")
    (qemu, *rest), _ = command_line(open_language_model(folder_of_a_pi), emulate="qemu")
    asked = [qemu, "-L", str(tmp_path), *rest, "--prompt-ids", "1 2", "--tokens", "2", "--threads", "1"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=120)
    assert ("warning" in done.stderr) == bool(words)
    assert words in done.stderr
    found = json.loads(
        subprocess.run([*asked, "--json"], capture_output=True, check=True, timeout=120).stdout
    )
    assert found["throttled"] == (None if bits == "nonsense" else hex(int(bits, 16)))
