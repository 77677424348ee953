"""Counts what a model costs, layer by layer, while it runs in Unicorn.

A compiled hook (hook.c) keeps an edge profile of basic blocks at some 50 million instructions a second; a
second hook at the address of the application's eb_mark function files it under the layer that just ended.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import unicorn
from unicorn.unicorn_py3.unicorn import uclib

from edgebit.core import Core
from edgebit.devices.cycles import CostModel
from edgebit.errors import EdgebitError, ToolchainError
from edgebit.resources import cache_dir

MARK_START = 0xFFFFFFFF
MARK_RESUME = 0xFFFFFFFE
_CAPACITY = 1 << 15


class _Edge(ctypes.Structure):
    _fields_ = (("from_", ctypes.c_uint64), ("to", ctypes.c_uint64), ("count", ctypes.c_uint64))


class _Profile(ctypes.Structure):
    _fields_ = (
        ("previous", ctypes.c_uint64),
        ("lost", ctypes.c_uint64),
        ("used", ctypes.c_uint32),
        ("capacity", ctypes.c_uint32),
        ("mask", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("index", ctypes.c_void_p),
        ("edges", ctypes.c_void_p),
        ("stopped", ctypes.c_void_p),
    )


class _Pause(ctypes.Structure):
    _fields_ = (("wanted", ctypes.c_uint32), ("stopped", ctypes.c_uint32), ("stop", ctypes.c_void_p))


def compiled(source: Path, *more: str) -> Path:
    """A library made of one C file with zig, the first time, and kept in the cache folder."""
    key = hashlib.sha256(source.read_bytes() + sys.platform.encode()).hexdigest()[:16]
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    path = cache_dir() / f"{source.stem}-{key}{suffix}"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as tmp:
            built = Path(tmp) / path.name
            flags = ["-O2", "-shared", "-fno-sanitize=undefined", "-fvisibility=hidden", *more]
            if sys.platform != "win32":
                flags.append("-fPIC")
            zig = str(cache_dir() / "zig")
            environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": zig, "ZIG_LOCAL_CACHE_DIR": zig}
            command = [sys.executable, "-m", "ziglang", "cc", *flags, "-o", str(built), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode != 0 or not built.exists():
                raise ToolchainError(
                    f"cannot build the emulator's counter {source.name} with zig: "
                    f"{done.stderr.strip()[-500:] or 'no output'}; is the package ziglang installed?"
                )
            os.replace(built, path)
    return path


@functools.cache
def hook_library() -> ctypes.CDLL:
    """The compiled hook for Unicorn."""
    source = Path(__file__).with_name("hook.c")
    try:
        library = ctypes.CDLL(str(compiled(source, "-nostdlib")))
    except OSError:  # a damaged file in the cache
        compiled(source, "-nostdlib").unlink(missing_ok=True)
        try:
            library = ctypes.CDLL(str(compiled(source, "-nostdlib")))
        except OSError as e:
            raise ToolchainError(f"cannot load the emulator's counter built from {source.name}: {e}") from e
    library.eb_hook_clear.argtypes = [ctypes.c_void_p]
    library.eb_hook_clear.restype = None
    return library


def add_block_hook(uc: Any, name: str, user: ctypes.Structure) -> int:
    """Call a function of the hook library at every block, with a structure that the caller keeps; its handle."""
    handle = ctypes.c_size_t()
    status = uclib.uc_hook_add(
        uc._uch,
        ctypes.byref(handle),
        unicorn.UC_HOOK_BLOCK,
        ctypes.cast(getattr(hook_library(), name), ctypes.c_void_p),
        ctypes.cast(ctypes.byref(user), ctypes.c_void_p),
        ctypes.c_uint64(1),
        ctypes.c_uint64(0),
    )
    if status != unicorn.UC_ERR_OK:
        raise EdgebitError(f"Unicorn refused the hook {name}: error {status}")
    return handle.value


class Pause:
    """Stops an emulation between two blocks; the one thing of it that other threads may use is request()."""

    def __init__(self, uc: Any) -> None:
        self._state = _Pause(stop=ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value)
        self.stopped = ctypes.addressof(self._state) + _Pause.stopped.offset
        add_block_hook(uc, "eb_hook_pause", self._state)

    def request(self) -> None:
        """Stop at the next block."""
        self._state.wanted = 1

    def clear(self) -> None:
        """Before the emulation goes on: nothing is asked for."""
        self._state.wanted = self._state.stopped = 0


class Counter:
    """Per-layer counts of the runs of one emulated machine.

    metric says what layers() gives: "modelled cycles" or "instructions". Counting slows the emulation down;
    it is off until enable(True).
    """

    def __init__(self, uc: Any, core: Core, mark: int, argument_register: int, pause: Pause) -> None:
        self._uc = uc
        self._model = CostModel(core)
        self.metric = self._model.metric
        self._mark = mark
        self._argument = argument_register
        self._hooks: list[int] = []
        self._layers: dict[int, list[tuple[int, int, int]]] = {}
        self._counting = False
        self._edges = (_Edge * _CAPACITY)()
        self._index = (ctypes.c_uint32 * (4 * _CAPACITY))()
        self._profile = _Profile(
            capacity=_CAPACITY,
            mask=4 * _CAPACITY - 1,
            index=ctypes.addressof(self._index),
            edges=ctypes.addressof(self._edges),
            stopped=pause.stopped,
        )
        self._pause = pause  # its memory is read as long as ours

    def enable(self, on: bool) -> None:
        """Start or stop counting, between two runs."""
        if on == bool(self._hooks):
            return
        if on:
            handle = add_block_hook(self._uc, "eb_hook_block", self._profile)
            mark = self._uc.hook_add(
                unicorn.UC_HOOK_CODE, self._marked, None, begin=self._mark, end=self._mark
            )
            self._hooks = [handle, mark]
        else:
            for hook in self._hooks:
                uclib.uc_hook_del(self._uc._uch, ctypes.c_size_t(hook))
            self._hooks = []
        self._uc.ctl_flush_tb()  # code translated before does not call the hooks, and the other way round
        self._counting = False

    def _marked(self, uc: Any, _address: int, _size: int, _user: Any) -> None:
        """eb_mark was entered: a run starts, a layer has ended, or the hashing of one has."""
        layer: int = uc.reg_read(self._argument) & 0xFFFFFFFF
        if layer == MARK_START:
            self._layers = {}
            self._counting = True
        elif layer != MARK_RESUME and self._counting:
            if self._profile.lost:
                raise EdgebitError(f"layer {layer} has more than {_CAPACITY} branches; it cannot be counted")
            kept = self._layers.setdefault(layer, [])
            kept += [(e.from_, e.to, e.count) for e in self._edges[: self._profile.used]]
        hook_library().eb_hook_clear(ctypes.addressof(self._profile))

    def layers(self) -> list[tuple[int, int]]:
        """(layer, value in units of `metric`) of the last run, in the order the layers ran."""
        return [(layer, self._sum(edges)[1]) for layer, edges in self._layers.items()]

    def instructions(self) -> list[tuple[int, int]]:
        """(layer, instructions) of the last run."""
        return [(layer, self._sum(edges)[0]) for layer, edges in self._layers.items()]

    def _sum(self, edges: list[tuple[int, int, int]]) -> tuple[int, int]:
        instructions = cycles = 0
        for origin, target, count in edges:
            here = self._cost(target)
            instructions += count * here.instructions
            cycles += count * here.cycles
            if origin and (origin >> 16) + (origin & 0xFFFF) != target >> 16:
                cycles += count * self._cost(origin).taken
        return instructions, cycles

    def _cost(self, block: int) -> Any:
        address, size = block >> 16, block & 0xFFFF
        return self._model.block(address, bytes(self._uc.mem_read(address, size)))
