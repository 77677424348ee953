"""The memory that a program takes while it runs, mapped pages included: two layers and the whole vocabulary of 2B-4T."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from decoder_random import export

from edgebit.bench.language_model import command_line, open_language_model
from edgebit.importers.base import load_decoder

TOKENS = 160


@pytest.mark.parametrize("head", ["int8"])
def test_peak_of_memory(tmp_path: Path, head: str) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of resident memory is read from /proc, which is not here")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
    try:
        from big_decoder import BITNET_2B, write_checkpoint
    finally:
        del sys.path[0]
    write_checkpoint(tmp_path / "m", replace(BITNET_2B, layers=2), lambda _: None)
    decoder = load_decoder(tmp_path / "m")
    out = export(decoder, "host", tmp_path / "host", context=1024, matrix=head, golden=False)
    folder = open_language_model(out)
    command, _ = command_line(folder)
    ids = " ".join(str(7 * k % 1000) for k in range(TOKENS - 8))
    with subprocess.Popen(
        [*command, "--prompt-ids", ids, "--tokens", "800", "--threads", "2", "--go-on"],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        said = b""
        while len(said.split()) < 8:  # it streams, so its peak can be read while it lives
            piece = os.read(process.stdout.fileno(), 4096)
            assert piece
            said += piece
        peak = int(Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
        process.kill()
    file_bytes = folder.weights.stat().st_size
    kv = TOKENS * folder.manifest["kv_bytes_per_position"]
    print(f"peak {peak / 1e6:.0f} MB, file {file_bytes / 1e6:.0f} MB, keys and values {kv / 1e6:.1f} MB")
    assert 0.9 * file_bytes < peak < 1.1 * file_bytes + kv + 64e6
