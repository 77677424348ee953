"""Where the cycles of a layer go on the Cortex-M55: by function, and by edge between blocks of code.

    python tests/tools/m55_cycles.py fc-640x128 tmatvec_s8__mve [zig|gcc]

Modelled cycles: the layer is exported for mps3-an547 and run in qemu-system-arm, whose profile of blocks is
priced by llvm-mca 22 or later (edgebit/devices/cycles_mca.py says with what added). On Debian 12 the package
llvm-22 is in bookworm-security; where it may not be installed,

    apt-get download llvm-22 libllvm22 && for d in *.deb; do dpkg -x $d llvm; done
    export EDGEBIT_LLVM=$PWD/llvm/usr/lib/llvm-22/bin LD_LIBRARY_PATH=$PWD/llvm/usr/lib/x86_64-linux-gnu

`edgebit bench --kernels --core cortex-m55` gives the totals of all shapes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from core_samples import export

from edgebit.bench.folder import open_export
from edgebit.bench.kernel_shapes import NODE, SHAPES
from edgebit.bench.kernel_tasks import inputs_for
from edgebit.bench.session import connect
from edgebit.board import load_board
from edgebit.devices.cycles_mca import McaModel
from edgebit.devices.qemu_counting import QemuCounter
from edgebit.plan.plan import make_plan

EDGES = 12


def main(arguments: Sequence[str]) -> int:
    if len(arguments) not in (2, 3):
        print(__doc__)
        return 2
    board = load_board("mps3-an547")
    graph = SHAPES[arguments[0]].make()
    plan = make_plan(graph, board.core, board, kernels={NODE: arguments[1]})
    values = inputs_for(graph)[0]
    with tempfile.TemporaryDirectory() as tmp:
        folder = open_export(export(plan, values, board, Path(tmp)))
        chain = arguments[2] if len(arguments) > 2 else None
        with connect(folder, emulate="qemu", toolchain=chain, count=True) as device:
            for k, i in enumerate(graph.inputs):
                device.link.write_input(k, np.ascontiguousarray(values[i]).tobytes())
            device.link.run(hash_layers=False)
            assert isinstance(device.counter, QemuCounter)
            image, edges = device.counter.image, device.counter.profile()[0]
            model = McaModel(image.path)
            total = model.cycles(edges)
            each = {e: model.cycles({e: n}) for e, n in edges.items()}
    print(f"{total} cycles, {total / plan.macs:.4f} a multiply-accumulate")
    by_name: Counter[str] = Counter()
    for (_, (at, _)), cycles in each.items():
        f = image.function_at(at)
        by_name[f.name if f else "?"] += cycles
    for name, cycles in by_name.most_common():
        print(f"{cycles:8} {name}")
    for e in sorted(each, key=lambda e: -each[e])[:EDGES]:
        (a, _), (b, size) = e
        print(f"{each[e]:8} = {edges[e]} x {each[e] / edges[e]:.2f}: {a:#x} -> {b:#x}, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
