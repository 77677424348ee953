"""Flashing onto drives that are real FAT file systems: images mounted with fusefat, unmounted under a writer's feet."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebit.flash import base, msd, uf2
from edgebit.toolchain.uf2 import read_uf2

TOOLS = ("fusefat", "fusermount", "mkfs.vfat", "mcopy")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(t) for t in TOOLS) or not os.access("/dev/fuse", os.R_OK | os.W_OK),
    reason=f"no FAT image can be mounted here: {', '.join(TOOLS)} and /dev/fuse are needed; flashing onto real drives was "
    "not tested",
)


class Drive:
    """A FAT image as the boot ROM shows one, mounted; or, with a `code`, as an ST-LINK with that board's number does."""

    def __init__(
        self, root: Path, name: str, board_id: str, kib: int, used: int, code: str, *, writable: bool
    ) -> None:
        self.image, self.mount = root / f"{name}.img", root / name
        self.mount.mkdir()
        self.image.write_bytes(bytes(kib << 10))
        info = root / ("MBED.HTM" if code else uf2.INFO)
        info.write_text(f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi\r\nBoard-ID: {board_id}\r\n")
        if code:
            info.write_text(f"<meta content='0; url=https://os.mbed.com/platforms/?code={code}0221066FFF'/>")
        run("mkfs.vfat", "-n", "RPI-RP2", str(self.image))
        run("mcopy", "-i", str(self.image), str(info), "::")
        if used:
            (root / "OTHER.BIN").write_bytes(bytes(used << 10))
            run("mcopy", "-i", str(self.image), str(root / "OTHER.BIN"), "::")
        self.server = subprocess.Popen(
            ["fusefat", "-f", "-o", "rw+" if writable else "ro", str(self.image), str(self.mount)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not os.path.ismount(self.mount):
            assert self.server.poll() is None, "fusefat did not start"
            time.sleep(0.01)
        self.mounted = True

    def take_away(self) -> None:
        """Unmount it and remove its mount point, as a system does that mounts drives by itself."""
        if self.mounted:
            self.mounted = False
            subprocess.run(["fusermount", "-u", "-z", str(self.mount)], check=False)
            self.server.kill()
            self.server.wait()
            self.mount.rmdir()

    def read(self, name: str) -> bytes:
        """A file of the image, read without mounting it."""
        return subprocess.run(
            ["mcopy", "-i", str(self.image), f"::{name}", "-"], check=True, capture_output=True
        ).stdout


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Drive]]:
    made: list[Drive] = []

    def make(
        name: str = "a",
        board_id: str = "RPI-RP2",
        kib: int = 2048,
        used: int = 0,
        code: str = "",
        *,
        writable: bool = True,
    ) -> Drive:
        made.append(Drive(tmp_path, name, board_id, kib, used, code, writable=writable))
        monkeypatch.setenv(base.VOLUMES, os.pathsep.join(str(d.mount) for d in made))
        return made[-1]

    monkeypatch.setenv(base.VOLUMES, "")
    monkeypatch.setattr(uf2, "RESTART_SECONDS", 1.0)
    monkeypatch.setattr(msd, "WRITE_SECONDS", 0.2)
    yield make
    for d in made:
        d.take_away()


def test_the_whole_image_arrives(
    drive: Callable[..., Drive], digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    """`edgebit flash` onto a mounted drive that goes away once the file is there, as the boot ROM's does."""
    folder, d = digits("pico"), drive()
    built = edgebit("build", folder, "--json").json
    want = Path(built["uf2"]).read_bytes()
    dry = edgebit("flash", folder, "--dry-run", "--json").json
    assert dry["done"] is False
    assert any(str(d.mount) in s for s in dry["steps"])
    assert not (d.mount / "EDGEBIT.UF2").exists()

    def boot_rom() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if (d.mount / "EDGEBIT.UF2").stat().st_size == len(want):
                    time.sleep(0.1)
                    break
            except OSError:
                pass
            time.sleep(0.01)
        d.take_away()

    rom = threading.Thread(target=boot_rom)
    rom.start()
    said = edgebit("flash", folder, "--json").json
    rom.join()
    assert said["done"] is True
    assert "restarted" in said["said"]
    assert d.read("EDGEBIT.UF2") == want
    assert read_uf2(want)[1].startswith(Path(built["bin"]).read_bytes())


def test_wrong_board_two_drives_full_drive(
    drive: Callable[..., Drive], digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    folder = digits("pico")
    edgebit("build", folder)
    other = drive("other", board_id="RP2350")
    said = edgebit("flash", folder, "--json", code=7).json
    assert "RP2350" in said["error"]
    assert not (other.mount / "EDGEBIT.UF2").exists()
    other.take_away()
    small = drive("small", kib=64, used=20)
    said = edgebit("flash", folder, "--json", code=11).json
    assert "full" in said["error"]
    drive("second")
    said = edgebit("flash", folder, "--json", code=6).json
    assert len(said["candidates"]) == 2
    assert "--volume" in said["error"]
    assert "--volume" in edgebit("flash", folder, "--dry-run", "--json", code=6).json["error"]
    assert edgebit("flash", folder, "--volume", small.mount, "--json", code=11).json["exit_code"] == 11


def test_a_debuggers_drive(
    drive: Callable[..., Drive], digits: Callable[[str], Path], edgebit: Callable[..., Any]
) -> None:
    """The image arrives whole, and what is wrong has its exit code: another board's, a full one, one that is read-only."""
    folder = digits("nucleo-f446re")
    image = Path(edgebit("build", folder, "--json").json["bin"]).read_bytes()
    right = drive("right", code="0777")
    assert "written through" in edgebit("flash", folder, "--json").json["said"]
    assert right.read("EDGEBIT.BIN") == image
    right.take_away()
    other = drive("other", code="0813")
    assert "0813" in edgebit("flash", folder, "--json", code=7).json["error"]
    other.take_away()
    full = drive("full", kib=64, used=36, code="0777")
    assert "full" in edgebit("flash", folder, "--json", code=11).json["error"]
    full.take_away()
    locked = drive("locked", code="0777", writable=False)
    said = edgebit("flash", folder, "--json", code=8).json["error"]
    assert f"not permitted to write to {locked.mount}" in said
    assert "udisksctl mount" in said


class Pulled:
    """A file whose drive dies after the first piece is written to it."""

    def __init__(self, file: Any, drive: Drive) -> None:
        self.file, self.drive = file, drive

    def __enter__(self) -> Pulled:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def fileno(self) -> int:
        return int(self.file.fileno())

    def write(self, data: bytes) -> int:
        written = int(self.file.write(data))
        if self.drive.server.poll() is None:
            self.drive.server.kill()
            self.drive.server.wait()
        return written


def test_a_drive_that_vanishes_mid_write(
    drive: Callable[..., Drive],
    digits: Callable[[str], Path],
    edgebit: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its file system dies after the first piece: that is a failed write, never a restart."""
    folder, d = digits("pico"), drive()
    edgebit("build", folder)
    real = Path.open

    def opened(self: Path, *args: Any, **kwargs: Any) -> Any:
        file = real(self, *args, **kwargs)
        return Pulled(file, d) if self == d.mount / "EDGEBIT.UF2" else file

    monkeypatch.setattr(Path, "open", opened)
    said = edgebit("flash", folder, "--json", code=11).json["error"]
    assert f"writing to {d.mount} failed" in said
    assert "BOOTSEL" in said
