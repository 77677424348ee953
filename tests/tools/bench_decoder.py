"""Times language models of bitnet-b1.58-2B-4T's exact shape on this machine, EdgeBit's against llama.cpp's.

    python tests/tools/bench_decoder.py [--layers N] [--rounds N] [--only WORDS] [--json]

Weights are random: speed needs shapes, not sense. EdgeBit runs the program that `edgebit export` and `build` make,
llama.cpp runs a GGUF file of the same shape through its C API; the two take turns, round by round, and the one whose turn
it is not does nothing. A ratio is our rate
over the peer's in the same round; printed are the median and the extremes over all rounds, of the clock on the wall
and of processor time (which other work on the machine disturbs less; spinning threads count in it). The first run
builds the peer and some files, 8 GB in all, in the cache folder.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_peers import Ggml, environment
from big_decoder import BITNET_2B, write_checkpoint, write_peer

from edgebit.bench.language_model import open_language_model
from edgebit.importers.base import load_decoder
from edgebit.resources import cache_dir
from edgebit.toolchain.build import build_export

exporter: Any = importlib.import_module("edgebit.exporters.decoder")
CONTEXT = 2304
NEAR, FAR, TOKENS = 128, 2048, 16


@dataclass(frozen=True)
class Pair:
    """What is compared: our head, the peer's formats of body and head, the position of decoding."""

    head: str
    body: str
    peer_head: str
    position: int = NEAR
    prefill: bool = False

    @property
    def label(self) -> str:
        far = f", position {self.position}" if self.position != NEAR else ""
        return f"{self.head} head : {self.body.upper()} + {self.peer_head.upper()} head{far}"


PAIRS = (
    Pair("int8", "tq2_0", "q8_0", prefill=True),
    Pair("source", "tq2_0", "f16"),
    Pair("int4", "tq2_0", "q6_k"),
    Pair("int4", "tq1_0", "q6_k"),
    Pair("int8", "tq2_0", "q8_0", FAR),
)


class Peer:
    """llama.cpp in a process of its own, told what to do line by line."""

    def __init__(self, python: Path, model: Path, threads: int) -> None:
        tool = str(Path(__file__).with_name("peer_decoder.py"))
        command = [str(python), tool, str(model), str(threads), str(CONTEXT)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"llama.cpp ended with {self._process.wait()}")
        found: dict[str, float] = json.loads(line)
        return found

    def ask(self, what: str) -> dict[str, float]:
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Files:
    """Everything that is compared, made when it is not there yet."""

    def __init__(self, work: Path, layers: int, env: Path) -> None:
        self.shape = replace(BITNET_2B, layers=layers)
        self.work = work / f"{layers}-layers"
        self.library = environment(env)
        self.python = env / "bin" / "python"
        self._ggml: Ggml | None = None

    def ours(self, head: str) -> tuple[list[str], dict[str, Any]]:
        """The command of our program, and the manifest."""
        checkpoint, out = self.work / "checkpoint", self.work / f"export-{head}"
        if not (checkpoint / "config.json").exists():
            write_checkpoint(checkpoint, self.shape, lambda text: print(text, file=sys.stderr))
        if not (out / "edgebit.json").exists():
            print(f"exporting with {head} head ...", file=sys.stderr)
            decoder = load_decoder(checkpoint)
            exporter.export_decoder(decoder, "host", out, context=CONTEXT, matrix=head, golden=False)
        folder = open_language_model(out)
        return [str(build_export(out).elf), "--weights", str(folder.weights)], folder.manifest

    def peer(self, body: str, head: str) -> Path:
        path = self.work / f"{body}-{head}.gguf"
        if not path.exists():
            print(f"writing {path.name} ...", file=sys.stderr)
            self._ggml = self._ggml or Ggml(self.library)
            part = path.with_suffix(".part")
            write_peer(part, self._ggml.rows, body, head, self.shape)
            part.rename(path)
        return path


class Ours:
    """Our program, decoding token by token, and stopped while the peer has its turn."""

    def __init__(self, command: Sequence[str], threads: int, position: int, tokens: int) -> None:
        asked = [
            "--prompt-ids",
            prompt(position),
            "--tokens",
            str(tokens),
            "--threads",
            str(threads),
            "--go-on",
        ]
        self._process = subprocess.Popen(
            [*command, *asked], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._read(1)

    def _read(self, tokens: int) -> None:
        """Wait for some tokens: numbers, with a space before each but the first, written as they come."""
        assert self._process.stdout is not None
        while tokens > 0:
            piece = os.read(self._process.stdout.fileno(), 1 if tokens == 1 else tokens)
            if not piece:
                raise SystemExit(f"our program ended with {self._process.wait()}")
            tokens -= piece.count(b" ")

    def _processor(self) -> float:
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(t.read_text().split()[0]) for t in tasks) * 1e-9

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def decode(self, tokens: int) -> dict[str, float]:
        """Seconds of `tokens` tokens, after one that was under way when it was stopped."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        os.set_blocking(pipe, False)
        with suppress(BlockingIOError):  # what came before it stopped
            while os.read(pipe, 4096):
                pass
        os.set_blocking(pipe, True)
        self._process.send_signal(signal.SIGCONT)
        self._read(1)
        wall, cpu = time.monotonic(), self._processor()
        self._read(tokens)
        took = {"wall": time.monotonic() - wall, "cpu": self._processor() - cpu}
        self.stop()
        return took

    def end(self) -> int:
        """Ends it; the peak of its resident memory in bytes, mapped pages included."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


def prompt(n: int) -> str:
    return " ".join(str(7 * k % 1000) for k in range(n))


def our_prefill(command: Sequence[str], threads: int) -> dict[str, float]:
    """Seconds of NEAR tokens taken in."""
    asked = ["--prompt-ids", prompt(NEAR), "--tokens", "1", "--threads", str(threads), "--json", "--go-on"]
    done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"our program ended with {done.returncode}: {done.stderr}")
    found = json.loads(done.stdout)
    return {"wall": found["prefill_seconds"], "cpu": found["prefill_processor_seconds"]}


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def compare(files: Files, pair: Pair, threads: int, rounds: int) -> dict[str, Any]:
    """Rates of both, and their ratios, over all rounds."""
    command, manifest = files.ours(pair.head)
    model = files.peer(pair.body, pair.peer_head)
    peer = Peer(files.python, model, threads)
    rates: dict[str, list[float]] = {}

    def note(name: str, tokens: int, took: dict[str, float]) -> None:
        rates.setdefault(f"{name} wall", []).append(tokens / took["wall"])
        rates.setdefault(f"{name} processor", []).append(tokens * threads / took["cpu"])

    for _ in range(rounds if pair.prefill else 0):
        note("ours prefill", NEAR, our_prefill(command, threads))
        note("peer prefill", NEAR, peer.ask(f"prefill {NEAR}"))
    peer.ask(f"prefill {pair.position}")
    ours = Ours(command, threads, pair.position, (rounds + 1) * (TOKENS + 1) + 1)
    ours.stop()
    for _ in range(rounds):
        note("ours decode", TOKENS, ours.decode(TOKENS))
        note("peer decode", TOKENS, peer.ask(f"decode {TOKENS}"))
    our_peak, peak = ours.end(), int(peer.ask("memory")["peak"])
    peer.end()
    result: dict[str, Any] = {
        "pair": pair.label,
        "layers": files.shape.layers,
        "position": pair.position,
        "threads": threads,
        "rounds": rounds,
        "our_weight_bytes_per_token": manifest["weights"]["bytes_per_token"],
        "peer_weight_bytes_per_token": model.stat().st_size,
        "kv_bytes_per_position": manifest["kv_bytes_per_position"],
        "our_peak_bytes": our_peak,
        "peer_peak_bytes": peak,
        "rates": {name: spread(values) for name, values in rates.items()},
        "ratios": {},
    }
    for phase in ("decode", "prefill"):
        for clock in ("wall", "processor"):
            ours, theirs = rates.get(f"ours {phase} {clock}"), rates.get(f"peer {phase} {clock}")
            if ours and theirs:
                result["ratios"][f"{phase} {clock}"] = spread(
                    [a / b for a, b in zip(ours, theirs, strict=True)]
                )
    return result


def show(r: dict[str, Any]) -> None:
    """One comparison in a few lines."""
    print(f"{r['pair']}; {r['threads']} thread(s), {r['layers']} layers, {r['rounds']} rounds")
    for name, v in r["ratios"].items():
        phase, clock = name.split()
        ours, theirs = (r["rates"][f"{who} {phase} {clock}"]["median"] for who in ("ours", "peer"))
        print(
            f"  {name:17} {v['median']:5.2f}x  ({v['low']:.2f} .. {v['high']:.2f})   tokens/s {ours:7.2f} : {theirs:7.2f}"
        )
    print(
        f"  MB of weights a token {r['our_weight_bytes_per_token'] / 1e6:.0f} : {r['peer_weight_bytes_per_token'] / 1e6:.0f}, "
        f"peak resident MB {r['our_peak_bytes'] / 1e6:.0f} : {r['peer_peak_bytes'] / 1e6:.0f}",
        flush=True,
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--layers", type=int, default=BITNET_2B.layers, help="fewer for a quick look [30]")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, action="append", help="may be repeated [1 and 2]")
    parser.add_argument("--only", default="", help="comparisons whose description holds these words")
    parser.add_argument(
        "--work", type=Path, default=cache_dir() / "bench-decoder", help="where files are kept"
    )
    parser.add_argument("--env", type=Path, default=cache_dir() / "peers", help="the peer's environment")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or not 1 <= options.layers <= BITNET_2B.layers:
        parser.error(f"at least 1 round, and 1 to {BITNET_2B.layers} layers")
    pairs = [p for p in PAIRS if options.only.lower() in p.label.lower()]
    if not pairs:
        parser.error(f"no comparison holds {options.only!r}; there are: " + "; ".join(p.label for p in PAIRS))
    files = Files(options.work, options.layers, options.env)
    found = []
    for pair in pairs:
        for threads in options.threads or (1, 2):
            found.append(compare(files, pair, threads, options.rounds))
            if not options.json:
                show(found[-1])
    if options.json:
        print(json.dumps({"shape": "bitnet-b1.58-2B-4T, random weights", "comparisons": found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
