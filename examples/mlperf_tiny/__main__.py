"""python -m examples.mlperf_tiny TASK OUT.onnx [--first ternary|int8]"""

from __future__ import annotations

import argparse
from pathlib import Path

from .networks import TASKS, make_model


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.mlperf_tiny", description="Write a network.")
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--first", choices=("ternary", "int8"), help="weights of the first layer")
    args = parser.parse_args()
    model = make_model(args.task, args.first)
    args.out.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{args.out}: {TASKS[args.task].title}, {args.out.stat().st_size:,} B")


if __name__ == "__main__":
    main()
