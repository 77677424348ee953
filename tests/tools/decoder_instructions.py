"""Counts the instructions that a language model of bitnet-b1.58-2B-4T's shape executes for a token on AArch64.

    python tests/tools/decoder_instructions.py [--target BOARD ...] [--json]

Programs of one and of two layers and of few and of more words run under QEMU's user emulation with a plugin that counts;
differences of runs give one layer's and one word's instructions, and the model's are those multiplied: by 30 layers
and by 128256 words. Nothing here is a time: a processor does between half an instruction and four a cycle.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from big_decoder import BITNET_2B, write_checkpoint

from edgebit.bench.language_model import open_language_model
from edgebit.board import load_board
from edgebit.devices.qemu import find_program
from edgebit.importers.base import load_decoder
from edgebit.toolchain.build import build_export

exporter: Any = importlib.import_module("edgebit.exporters.decoder")
HEADS = ("int8", "int4", "source")
FEW, MORE = 1024, 3072
TOKENS = 4
PLUGIN = """
#include <inttypes.h>
#include <stdio.h>
struct qemu_plugin_tb;
typedef void (*translated)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*ended)(uint64_t id, void *user);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated f);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *at, uint64_t add);
void qemu_plugin_register_atexit_cb(uint64_t id, ended f, void *user);
unsigned long qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
int qemu_plugin_version = 1;
static uint64_t count;
static void block(uint64_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, 0, &count, qemu_plugin_tb_n_insns(tb));
}
static void end(uint64_t id, void *user) {
    (void)id;
    (void)user;
    fprintf(stderr, "instructions %" PRIu64 "\\n", count);
}
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, block);
    qemu_plugin_register_atexit_cb(id, end, 0);
    return 0;
}
"""


class Counter:
    """Counts programs' instructions; works in a folder of its own."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.plugin = work / "count.so"
        (work / "count.c").write_text(PLUGIN)
        made = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(self.plugin), str(work / "count.c")]
        subprocess.run(made, check=True)

    def per_token(self, target: str, head: str, layers: int, vocab: int) -> float:
        """Instructions of one decoded token of a program, at positions below 16."""
        checkpoint = self.work / f"{layers}-{vocab}"
        if not checkpoint.exists():
            write_checkpoint(checkpoint, replace(BITNET_2B, layers=layers, vocab=vocab), lambda _: None)
        out = self.work / f"{layers}-{vocab}-{head}-{target}"
        exporter.export_decoder(load_decoder(checkpoint), target, out, context=64, matrix=head, golden=False)
        folder = open_language_model(out)
        counts = [self._run(folder, target, n) for n in (1, 1 + TOKENS)]
        return (counts[1] - counts[0]) / TOKENS

    def _run(self, folder: Any, target: str, tokens: int) -> int:
        options = load_board(target).emulators["qemu"]
        command = [find_program(options["program"]), "-cpu", options["cpu"], "-plugin", str(self.plugin)]
        command += [str(build_export(folder.path).elf), "--weights", str(folder.weights)]
        command += ["--prompt-ids", "5", "--tokens", str(tokens), "--threads", "1", "--go-on"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stderr.split("instructions ")[1].split()[0])


def count(counter: Counter, target: str) -> dict[str, Any]:
    """Instructions of one layer, of each kind of head, and of the whole model's token, in millions."""
    base = counter.per_token(target, "int8", 1, FEW)
    layer = counter.per_token(target, "int8", 2, FEW) - base
    found: dict[str, Any] = {"target": target, "layer": layer / 1e6}
    for head in HEADS:
        few = base if head == "int8" else counter.per_token(target, head, 1, FEW)
        word = (counter.per_token(target, head, 1, MORE) - few) / (MORE - FEW)
        whole = word * BITNET_2B.vocab
        found[head] = {"head": whole / 1e6, "token": (BITNET_2B.layers * layer + whole) / 1e6}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--target", action="append", help="a Linux board; may be repeated [rpi5 and rpi4]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counter = Counter(Path(folder))
        found = [count(counter, target) for target in options.target or ("rpi5", "rpi4")]
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    for f in found:
        print(f"{f['target']}: one layer {f['layer']:.1f} M instructions a token")
        for head in HEADS:
            print(f"  {head:6} head {f[head]['head']:6.1f} M, all of a token {f[head]['token']:7.1f} M")
    return 0


if __name__ == "__main__":
    sys.exit(main())
