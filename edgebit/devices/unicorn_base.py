"""Running a program in Unicorn as the far end of a link.

The program runs on the caller's thread, inside read(), until it waits for input; nothing runs in between. So
the emulated clock does not matter, results are repeatable, and "nothing more will come" is known for certain.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import unicorn

from edgebit.core import Core
from edgebit.devices.counting import Counter, Pause
from edgebit.errors import EdgebitError, LinkError

_untyped: Any = unicorn
Uc: Any = _untyped.Uc
UcError: Any = _untyped.UcError

_SLICE_SECONDS = 1.0
_ACCESS = {
    unicorn.UC_MEM_READ_UNMAPPED: "read from unmapped address",
    unicorn.UC_MEM_WRITE_UNMAPPED: "write to unmapped address",
    unicorn.UC_MEM_FETCH_UNMAPPED: "jump to unmapped address",
    unicorn.UC_MEM_READ_PROT: "read from unreadable address",
    unicorn.UC_MEM_WRITE_PROT: "write to read-only address",
    unicorn.UC_MEM_FETCH_PROT: "jump to non-executable address",
}


class _Watchdog:
    """Interrupts a long emulation every second, so that it can be looked at."""

    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self._wake = threading.Condition()
        self._deadline: float | None = None
        self._closed = False
        self.fired = False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        with self._wake:
            while not self._closed:
                if self._deadline is None:
                    self._wake.wait()
                    continue
                left = self._deadline - time.monotonic()
                if left > 0:
                    self._wake.wait(left)
                    continue
                self._deadline = None
                self.fired = True
                self._pause.request()

    def arm(self) -> None:
        with self._wake:
            self.fired = False
            self._deadline = time.monotonic() + _SLICE_SECONDS
            self._wake.notify()

    def disarm(self) -> None:
        with self._wake:
            self._deadline = None

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()


class Machine:
    """Base of the emulated machines; a Transport.

    hang_seconds: a program that computes for so long without asking for input counts as hung.
    """

    pc_register: int
    argument_register: int
    thumb = False

    def __init__(self, uc: Any, core: Core, where: str, mark: int | None, hang_seconds: float) -> None:
        self._uc = uc
        self._where = where
        self._hang_seconds = hang_seconds
        self._fault = ""
        self._idle = False
        self._over: str | None = None  # why the program will never run again
        self._pc = 0
        self._closed = False
        self._pause = Pause(uc)
        self._watchdog = _Watchdog(self._pause)
        uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._invalid)
        self.counter = None if mark is None else Counter(uc, core, mark, self.argument_register, self._pause)

    @property
    def where(self) -> str:
        return self._where

    # What a machine has to provide

    def _deliver(self, data: bytes) -> None:
        """Queue bytes for the program."""
        raise NotImplementedError

    def _collect(self) -> bytes:
        """Take what the program has sent."""
        raise NotImplementedError

    def _resume(self) -> None:
        """Called before the program goes on."""

    # Transport

    def write(self, data: bytes) -> None:
        if self._over is not None:
            raise LinkError(self._over)
        self._deliver(data)
        self._idle = False

    def read(self, timeout: float) -> bytes:
        """What the program sends until it waits for input; `timeout` is of no concern to it."""
        data = self._collect()
        if data or self._idle:
            return data
        self.run()
        return self._collect()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._watchdog.close()

    # Running

    def stop(self) -> None:
        """Called by a device model: the program waits for input and there is none."""
        self._idle = True
        self._uc.emu_stop()

    def end(self, how: str) -> None:
        """Called by a device model: the program is over."""
        self._over = f"{self._where} {how}"
        self._uc.emu_stop()

    def run(self) -> None:
        """Run until the program waits for input; LinkError when it faults, ends or hangs."""
        if self._over is not None:
            raise LinkError(self._over)
        started = time.monotonic()
        self._idle = False
        self._resume()
        while not self._idle:
            self._pause.clear()
            self._watchdog.arm()
            try:
                self._uc.emu_start(
                    self._pc | int(self.thumb), (1 << 64) - 1 if not self.thumb else 0xFFFFFFFE
                )
            except UcError as e:
                self._give_up(self._describe(e))
            finally:
                self._watchdog.disarm()
                self._pc = self._uc.reg_read(self.pc_register)
            if self._over is not None:
                if self._collectable():
                    return
                raise LinkError(self._over)
            if self._idle:
                return
            if not self._watchdog.fired:
                self._give_up(f"stopped for no known reason at {self._pc:#x}")
            if self._spins():
                self._give_up(f"hangs in an endless loop at {self._pc:#x} (a fault handler?)")
            if time.monotonic() - started > self._hang_seconds:
                self._give_up(
                    f"has computed for {self._hang_seconds:g} s without an answer, now at {self._pc:#x}"
                )

    def _collectable(self) -> bool:
        """Whether the program sent something before it ended."""
        return False

    def _spins(self) -> bool:
        """Whether the instruction at hand is a branch to itself."""
        branch = b"\xfe\xe7" if self.thumb else b"\x00\x00\x00\x14"
        return bytes(self._uc.mem_read(self._pc, len(branch))) == branch

    def _give_up(self, how: str) -> None:
        self._over = f"{self._where} {how}"
        raise LinkError(self._over)

    def _invalid(self, _uc: Any, access: int, address: int, size: int, value: int, _user: Any) -> bool:
        what = _ACCESS.get(access, f"bad access ({access}) to")
        self._fault = f"{what} {address:#x} ({size} bytes)"
        return False

    def _describe(self, error: Any) -> str:
        pc = self._uc.reg_read(self.pc_register)
        if self._fault:
            return f"crashed: {self._fault}, at instruction address {pc:#x}"
        try:
            code = bytes(self._uc.mem_read(pc, 4)).hex(" ")
        except UcError:
            code = "unreadable"
        if error.errno in (unicorn.UC_ERR_INSN_INVALID, unicorn.UC_ERR_EXCEPTION):
            return f"crashed: the core has no such instruction or access, at {pc:#x} ({code})"
        return f"crashed: {error}, at {pc:#x} ({code})"


def model_constant(module: Any, prefix: str, core: Core) -> int:
    """Unicorn's number for the CPU model named in a core's file."""
    name = f"{prefix}{core.unicorn_model}"
    if core.unicorn_model is None or not hasattr(module, name):
        raise EdgebitError(f"Unicorn has no model of the {core.title} (unicorn_model in {core.path.name})")
    return int(getattr(module, name))
