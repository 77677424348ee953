"""Runs a GGUF file by llama.cpp through its C API and times what it is told to, for bench_decoder.py.

    ENV/bin/python peer_decoder.py FILE THREADS CONTEXT

ENV is an environment with llama-cpp-python, and nothing of EdgeBit. Commands come on standard input, one a line, and are
answered by one line of JSON each: "prefill N" forgets everything and takes N tokens in, "decode N" adds N
tokens one by one after one that does not count, "memory" says the peak of resident memory, mapped pages included.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

import llama_cpp as c

BATCH = 512


def main() -> None:
    path, threads, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    quiet = c.llama_log_callback(lambda *_: None)
    c.llama_log_set(quiet, ctypes.c_void_p(0))
    c.llama_backend_init()
    model = c.llama_model_load_from_file(path.encode(), c.llama_model_default_params())
    how = c.llama_context_default_params()
    how.n_ctx, how.n_batch, how.n_ubatch = context, BATCH, BATCH
    how.n_threads = how.n_threads_batch = threads
    state = c.llama_init_from_model(model, how)
    if not model or not state:
        raise SystemExit(f"llama.cpp cannot load {path}")
    memory = c.llama_get_memory(state)

    def take(ids: list[int]) -> None:
        array = (c.llama_token * len(ids))(*ids)
        if c.llama_decode(state, c.llama_batch_get_one(array, len(ids))) != 0:
            raise SystemExit("llama.cpp cannot decode")

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        what, _, number = line.strip().partition(" ")
        if what == "memory":
            status = open("/proc/self/status").read()  # noqa: SIM115
            print(json.dumps({"peak": int(status.split("VmHWM:")[1].split()[0]) * 1024}), flush=True)
            continue
        n = int(number)
        if what == "prefill":
            c.llama_memory_clear(memory, True)
        else:
            take([5])
        wall, cpu = time.monotonic(), time.process_time()
        if what == "prefill":
            for start in range(0, n, BATCH):
                take([(7 * k) % 1000 for k in range(start, min(n, start + BATCH))])
        else:
            for _ in range(n):
                take([5])
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        print(json.dumps({"wall": wall, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    main()
