"""Exports --as platformio: PlatformIO itself builds, uploads, verifies and monitors, with its registry out of reach."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebit.toolchain.build import build_export
from edgebit.toolchain.pio import core_folder

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"
pytest.importorskip("platformio", reason="PlatformIO is not installed: projects for it were not built")
pytest.importorskip("SCons", reason="SCons is not installed: PlatformIO projects were not built")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the registry gets a refused connection at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")


@pytest.fixture(scope="module")
def projects(edgebit: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root, made = tmp_path_factory.mktemp("pio"), dict[str, Path]()

    def get(board: str) -> Path:
        if board not in made:
            made[board] = root / f"digits-{board}"
            args = ("--vectors", EXAMPLE / "test.npz", "--limit", 1, "--as", "platformio")
            edgebit("export", EXAMPLE / "digits.onnx", "-t", board, "-o", made[board], *args)
        return made[board]

    return get


def pio(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PLATFORMIO_CORE_DIR": str(core_folder()), "EDGEBIT_PIO_EMULATE": "yes"}
    command = [sys.executable, "-m", "platformio", *words, "-d", str(folder)]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


@pytest.mark.parametrize("board", ["pico", "nrf52840-dk"])
def test_pio_builds_uploads_and_verifies(board: str, projects: Callable[[str], Path]) -> None:
    """The user's own commands; the second board sees that projects do not get into each other's way."""
    folder = projects(board)
    before = sorted(folder.rglob("*"))
    done = pio(folder, "run", "-e", f"{board}_edgebit", "-t", "upload", "-t", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the emulated {board} started and answers as 'digits'" in done.stdout
    assert "bit-exact on 1 vectors" in done.stdout
    built = build_export(folder)
    assert not built.fresh, "PlatformIO's build is EdgeBit's"
    (image,) = folder.parent.glob(f"digits-{board}.pio/build/*/firmware.bin")
    assert image.read_bytes() == built.bin.read_bytes()
    assert sorted(folder.rglob("*")) == before, "the export is as it was"


def test_edgebit_drives_it(projects: Callable[[str], Path], edgebit: Callable[..., Any]) -> None:
    folder = projects("pico")
    built = edgebit("build", folder, "--with", "platformio", "--json").json
    dry = edgebit("flash", folder, "--with", "platformio", "--emulate", "--dry-run", "--json").json
    assert "PlatformIO's upload" in dry["steps"][0]
    said = edgebit("flash", folder, "--with", "platformio", "--emulate", "--json").json
    assert built["image_id"] in said["said"]
    (folder.parent / "drives").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as m:
        m.setenv("EDGEBIT_VOLUMES", str(folder.parent / "drives"))
        failed = edgebit("flash", folder, "--with", "platformio", "--method", "uf2", "--json", code=6).json[
            "error"
        ]
    assert "BOOTSEL" in failed, "what keeps the board from being flashed is passed on"


def test_what_is_missing_is_said(
    digits: Callable[[str], Path], edgebit: Callable[..., Any], tmp_path: Path
) -> None:
    assert (
        "--as platformio"
        in edgebit("build", digits("pico"), "--with", "platformio", "--json", code=2).json["error"]
    )
    edgebit("build", digits("pico"), "--with", "bazel", code=2)
    args = ("-t", "rpi5", "-o", tmp_path / "x", "--as", "platformio", "--json")
    assert "choose one as --target" in edgebit("export", EXAMPLE / "digits.onnx", *args, code=2).json["error"]


def test_pio_device_monitor(projects: Callable[[str], Path]) -> None:
    """`pio device monitor` on a TCP port, as emulators and serial servers offer one."""
    if not (projects("pico").parent / "digits-pico.pio").is_dir():
        assert (
            pio(projects("pico"), "run", "-e", "pico_edgebit").returncode == 0
        )  # the first run makes the platform known
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                done.wait(1.0)
                connection.sendall(b"hello from the board\n")
                done.wait(20.0)

        server.settimeout(30.0)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        env = {**os.environ, "PLATFORMIO_CORE_DIR": str(core_folder()), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "platformio", "device", "monitor", "-p", port, "--no-reconnect"]
        command += ["-e", "pico_edgebit"]
        ours, theirs = os.openpty()  # it wants a terminal
        monitor = subprocess.Popen(
            [*command, "-d", str(projects("pico"))], env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        seen = b""
        while b"the board" not in seen:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # it ended
                break
        done.set()
        monitor.terminate()
        monitor.wait()
        os.close(ours)
        thread.join(5.0)
    assert b"hello from the board" in seen, seen.decode()
