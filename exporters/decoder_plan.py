"""What the exporter decides about a language model before it packs anything: kernels, layout, sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebit.board import Board
from edgebit.core import Core
from edgebit.decoder.canonical import check_spec, shape_of
from edgebit.decoder.model import PROJECTIONS, DecoderSpec
from edgebit.decoder.ops import POSITIONS
from edgebit.decoder.precision import MatrixKind, Precision
from edgebit.errors import EdgebitError, UsageError
from edgebit.layouts.base import Layout, layout_of, round_up
from edgebit.layouts.fields import Fields
from edgebit.plan.kernels import Kernel, kernels_for

DEFAULT_CONTEXT = 4096
MAX_THREADS = 64
UNIT = 64
"""Tensors lie at multiples of this in the weights."""
PAGES = 65536
_PART_BYTES = 16 << 20  # of unfinished attention that a tile may keep
_TILE = 32
_NEAR = 1.2  # rows are padded to blocks, which counts in small models only
_PANEL_ROWS = 64
_CHUNK_ROWS = 256
_WHOLE = ("smlad2",)  # layouts of about two bits whose blocks of rows differ
_LEAST_ROWS = 96  # whose sums are room for the scores of two queries


@dataclass(frozen=True)
class DecoderPlan:
    """One model on one core. Stems are kernel files; matmat is "" where the layout has no such kernel.

    tile: tokens taken in together. panel: rows whose weights lie together. chunk: rows of one kernel call.
    matrix: how embedding and head are stored. matvec_scratch: bytes that the ternary kernel works in.
    """

    spec: DecoderSpec
    precision: Precision
    core: Core
    board: Board | None
    context: int
    tile: int
    max_threads: int
    layout: str
    matvec: str
    matmat: str
    rowdots: str
    attend: str
    panel: int
    chunk: int
    matrix: str
    matvec_scratch: int = 0

    @property
    def section(self) -> int:
        """Sections of the weights start at multiples of this: pages where the file is mapped."""
        return UNIT if self.core.is_cortex_m else PAGES

    @property
    def stems(self) -> tuple[str, ...]:
        return tuple(s for s in (self.matvec, self.matmat, self.rowdots, self.attend) if s)

    @property
    def row_multiple(self) -> int:
        return layout_of(self.layout).row_multiple

    @property
    def kv_bytes_per_position(self) -> int:
        """Bytes that the keys and values of one position take, in all layers."""
        unit = {"f32": 4, "f16": 2, "int8": 1}[self.precision.kv]
        row = round_up(self.spec.head_dim, 8) * unit + (4 if self.precision.kv == "int8" else 0)
        return 2 * self.spec.layers * self.spec.kv_heads * row

    def block_bytes(self, cols: int) -> int:
        """Packed bytes of row_multiple rows."""
        return block_bytes(layout_of(self.layout), cols)


def block_bytes(layout: Layout, cols: int) -> int:
    """Packed bytes of one block of rows, of a layout whose blocks are all alike."""
    if isinstance(layout, Fields):
        return layout.row_multiple * round_up(cols, layout.col_multiple) // layout.fields
    return (
        layout.row_multiple * round_up(cols, layout.col_multiple) // 4
    )  # t2, lut4 and t2r8; smlad2 has some more


def cuts(layout: Layout) -> bool:
    """Whether weights in this layout can be cut between blocks of rows, which are all alike."""
    return isinstance(layout, Fields) or layout.name in ("t2", "lut4", "t2r8")


def _usable(kernel: Kernel, cols: list[int], core: Core, *, whole: bool) -> bool:
    """Whether the kernel serves matrices of these widths. Blocks of rows must be alike where matrices are cut. On
    Linux tables are worth their scratch where inputs are binary32 alone."""
    if not kernel.layout:
        return False
    layout = layout_of(kernel.layout)
    if not (cuts(layout) or (whole and layout.name in _WHOLE)):
        return False
    if core.is_cortex_m or kernel.family == "tmatvec_f32":
        return all(layout.limits(np.zeros((1, c), np.int8)) is None for c in cols)
    fits = all(layout.limits(np.zeros((1, c), np.int8)) is None for c in cols)
    return fits and all(layout.scratch(kernel.stem, layout.row_multiple, c) == 0 for c in cols)


def _bytes(layout: Layout, spec: DecoderSpec) -> int:
    """Packed bytes of a layer."""
    total = 0
    for role in PROJECTIONS:
        rows, cols = shape_of(spec, role)
        total += round_up(rows, layout.row_multiple) // layout.row_multiple * block_bytes(layout, cols)
    return total


def choose_matvec(
    spec: DecoderSpec, core: Core, optimize: str, family: str = "tmatvec_s8", *, whole: bool = False
) -> Kernel:
    """The ternary kernel of all projections. Decoding waits for memory, so the cheapest of those with nearly
    the fewest bytes wins; "speed" asks for the least modelled cost alone."""
    cols = sorted({shape_of(spec, role)[1] for role in PROJECTIONS})
    found = [k for k in kernels_for(family, core) if _usable(k, cols, core, whole=whole)]
    if not found:
        raise EdgebitError(f"no ternary kernel of {core.title} takes {max(cols)} inputs")

    def cost(k: Kernel) -> tuple[float, str]:
        return (core.costs.get(k.stem, {}).get("mac", 1e9), k.stem)

    vector = [k for k in found if k.isa != "ref"] or found
    sizes = {k.stem: _bytes(layout_of(k.layout), spec) for k in vector}
    near = [k for k in vector if optimize == "speed" or sizes[k.stem] <= _NEAR * min(sizes.values())]
    return min(near, key=cost)


def plan_decoder(
    spec: DecoderSpec,
    precision: Precision,
    source_matrix: str,
    core: Core,
    board: Board | None,
    *,
    context: int | None = None,
    optimize: str = "balanced",
    whole: bool = False,
) -> DecoderPlan:
    """Decide everything that does not depend on the weights' values.

    whole: no projection has scales for groups of inputs, so that a microcontroller's kernel is given whole matrices.

    source_matrix: element type of embedding and head in the model file. UsageError when the context is out of
    range, ModelError when the sizes make no decoder.
    """
    check_spec(spec)
    chosen = min(spec.max_context, DEFAULT_CONTEXT) if context is None else context
    if not 1 <= chosen <= spec.max_context:
        raise UsageError(f"--context {chosen}: the model was trained for 1..{spec.max_context} positions")
    small = core.is_cortex_m
    family = "tmatvec_f32" if precision.act == "f32" else "tmatvec_s8"
    matvec = choose_matvec(spec, core, optimize, family, whole=whole and small)
    matmat = [k for k in kernels_for("tmatmat_s8", core) if k.layout == matvec.layout]
    matrix: MatrixKind | str = {"int8": "s8", "int4": "s4"}.get(precision.matrix, source_matrix)
    kv = "s8" if precision.kv == "int8" else precision.kv
    layout = layout_of(matvec.layout)
    panel = layout.row_multiple * max(1, _PANEL_ROWS // layout.row_multiple)
    shapes = [shape_of(spec, role) for role in PROJECTIONS]
    # A kernel with tables makes them once a call, so a microcontroller's calls are for all rows.
    rows = max(_LEAST_ROWS, *(r for r, _ in shapes)) if small else _CHUNK_ROWS
    chunk = round_up(panel * max(1, -(-rows // panel) if small else rows // panel), 16)
    while chunk % panel:
        chunk += 16
    scratch = max(layout.scratch(matvec.stem, r, c) for r, c in shapes)
    blocks = -(-chosen // POSITIONS)
    a_token = blocks * spec.heads * (round_up(spec.head_dim, 8) + 2) * 4
    return DecoderPlan(
        spec=spec,
        precision=precision,
        core=core,
        board=board,
        context=chosen,
        tile=1 if small else max(1, min(_TILE, _PART_BYTES // a_token)),
        max_threads=1 if small else MAX_THREADS,
        layout=matvec.layout,
        matvec=matvec.stem,
        matmat=matmat[0].stem if matmat and not small else "",
        rowdots=kernels_for(f"rowdots_{matrix}", core)[0].stem,
        attend=kernels_for(f"attend_{kv}", core)[0].stem,
        panel=panel,
        chunk=chunk,
        matrix=str(matrix),
        matvec_scratch=round_up(scratch, UNIT),
    )
