"""Views: any chain of transposes and reshapes of one dense tensor, as strides, without touching data.

A `View` describes an array y as a rearrangement of a contiguous array x: every axis of y is a row-major
product of atoms (size, stride in x), so transposes reorder axes and reshapes regroup atoms. Two chains
that move the same elements to the same places have equal keys, whatever steps they were written in.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import prod

import numpy as np

from edgebit.ir.graph import Array

Atoms = tuple[tuple[int, int], ...]
_MAX_SEARCH_RANK = 6


def _merge(atoms: Atoms) -> Atoms:
    """The same order with neighbours that are contiguous in x joined."""
    out: list[tuple[int, int]] = []
    for size, stride in atoms:
        if size == 1:
            continue
        if out and out[-1][1] == size * stride:
            out[-1] = (out[-1][0] * size, stride)
        else:
            out.append((size, stride))
    return tuple(out)


@dataclass(frozen=True)
class View:
    """y, of `shape`, as a rearrangement of a contiguous x of shape `source`.

    `axes` holds the atoms of each axis of y. `perm` is set while y is x with its axes permuted, exactly:
    y = x.transpose(perm); it also tells axes of size one apart, which strides cannot.
    """

    source: tuple[int, ...]
    shape: tuple[int, ...]
    axes: tuple[Atoms, ...]
    perm: tuple[int, ...] | None

    @staticmethod
    def identity(shape: tuple[int, ...]) -> View:
        axes = tuple(((d, prod(shape[i + 1 :])),) if d != 1 else () for i, d in enumerate(shape))
        return View(tuple(shape), tuple(shape), axes, tuple(range(len(shape))))

    @property
    def order(self) -> Atoms:
        """The element order of y in terms of x: equal orders are equal flattened arrays."""
        return _merge(tuple(a for axis in self.axes for a in axis))

    @property
    def key(self) -> tuple[Atoms, tuple[int, ...]]:
        return self.order, self.shape

    @property
    def contiguous(self) -> bool:
        """y flattened equals x flattened: y is only a reshape of x."""
        order = self.order
        return len(order) == 0 or (len(order) == 1 and order[0][1] == 1)

    @property
    def trivial(self) -> bool:
        """y is x."""
        return self.contiguous and self.shape == self.source

    def transpose(self, perm: tuple[int, ...]) -> View:
        return View(
            self.source,
            tuple(self.shape[p] for p in perm),
            tuple(self.axes[p] for p in perm),
            None if self.perm is None else tuple(self.perm[p] for p in perm),
        ).settled()

    def settled(self) -> View:
        """The identity where y is x, else self."""
        return View.identity(self.source) if self.trivial else self

    def reshape(self, shape: tuple[int, ...]) -> View | None:
        """The reshape as a view, or None when an axis of `shape` would cut an atom unevenly."""
        if shape == self.shape:
            return self
        pool = list(self.order)
        axes: list[Atoms] = []
        for d in shape:
            got: list[tuple[int, int]] = []
            left = d
            while left > 1:
                if not pool:
                    return None
                size, stride = pool.pop(0)
                if left % size == 0:
                    got.append((size, stride))
                    left //= size
                elif size % left == 0:
                    inner = size // left
                    got.append((left, stride * inner))
                    pool.insert(0, (inner, stride))
                    left = 1
                else:
                    return None
            axes.append(tuple(got))
        return View(self.source, tuple(shape), tuple(axes), None).settled()

    def inverse(self) -> View | None:
        """x as a view of y."""
        flat = [a for axis in self.axes for a in axis if a[0] != 1]
        in_y = [prod(s for s, _ in flat[i + 1 :]) for i in range(len(flat))]
        ordered = sorted(range(len(flat)), key=lambda i: -flat[i][1])
        atoms = tuple((flat[i][0], in_y[i]) for i in ordered)
        if self.perm is not None:
            back = tuple(int(i) for i in np.argsort(self.perm))
            return View.identity(self.shape).transpose(back)
        whole = View(self.shape, (prod(self.source),), (atoms,), None)
        return whole.reshape(self.source)

    def as_transpose(self) -> tuple[int, ...] | None:
        """A permutation p of x's axes with y = x.transpose(p).reshape(shape), if there is one.

        Of several (axes of size one), one that needs no reshape is preferred.
        """
        if self.perm is not None:
            return self.perm
        if len(self.source) > _MAX_SEARCH_RANK:
            return None
        found: tuple[int, ...] | None = None
        start = View.identity(self.source)
        order = self.order
        for p in permutations(range(len(self.source))):
            if _merge(tuple(a for i in p for a in start.axes[i])) != order:
                continue
            if tuple(self.source[i] for i in p) == self.shape:
                return p
            found = found or p
        return found

    def steps(self) -> list[tuple[str, tuple[int, ...]]]:
        """The fewest ("transpose", perm) and ("reshape", shape) steps that make y from x."""
        if self.contiguous:
            return [] if self.shape == self.source else [("reshape", self.shape)]
        p = self.as_transpose()
        out: list[tuple[str, tuple[int, ...]]] = []
        if p is not None:
            out.append(("transpose", p))
            made = tuple(self.source[i] for i in p)
        else:
            order = self.order
            ranked = sorted(order, key=lambda a: -a[1])
            cut = tuple(size for size, _ in ranked)
            if cut != self.source:
                out.append(("reshape", cut))
            out.append(("transpose", tuple(ranked.index(a) for a in order)))
            made = tuple(size for size, _ in order)
        if made != self.shape:
            out.append(("reshape", self.shape))
        return out

    def axis_map(self) -> list[int] | None:
        """For each axis of y the axis of x it is (-1: a new axis of size one); None when axes were mixed."""
        if self.perm is not None:
            return list(self.perm)
        strides = [prod(self.source[i + 1 :]) for i in range(len(self.source))]
        spare = [i for i, d in enumerate(self.source) if d == 1]
        out: list[int] = []
        for atoms in self.axes:
            one = _merge(atoms)
            if len(one) > 1:
                return None
            if not one:
                out.append(spare.pop(0) if spare else -1)
                continue
            size, stride = one[0]
            hit = [i for i, d in enumerate(self.source) if d == size and strides[i] == stride and d != 1]
            if not hit:
                return None
            out.append(hit[0])
        return out

    def columns(self, rows: int) -> Array | None:
        """For y of shape (rows, K): idx with y[r, k] = x.reshape(rows, K)[r, idx[k]], or None if rows mix."""
        total = prod(self.shape)
        k = total // rows
        split = self.reshape((rows, k))
        if split is None:
            return None
        outer = _merge(split.axes[0])
        if rows > 1 and outer != ((rows, k),):
            return None
        idx = np.zeros(1, np.int64)
        for size, stride in split.axes[1]:
            idx = (idx[:, None] + np.arange(size, dtype=np.int64) * stride).reshape(-1)
        return idx
