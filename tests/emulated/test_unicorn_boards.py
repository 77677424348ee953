"""Every emulated board boots its image, answers over its UART, and fails as the hardware would."""

from __future__ import annotations

import itertools
import shutil
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebit.board import Board, load_board
from edgebit.devices import counting
from edgebit.devices.open import Device, emulators, open_device
from edgebit.devices.unicorn_a64 import Aarch64Linux
from edgebit.devices.unicorn_m import CortexM
from edgebit.errors import (
    EdgebitError,
    LinkError,
    NoBoardError,
    PortError,
    ToolchainError,
    UsageError,
    WrongBoardError,
)
from edgebit.toolchain.uf2 import seal_boot2

BOARDS = ["pico", "pico2", "nucleo-f446re", "mps2-an385", "mps2-an386", "rpi2", "rpi5"]
IN_BYTES = 1500
KEY = bytes(range(1, 17))


def expected(x: bytes) -> bytes:
    return bytes(a ^ KEY[i % 16] for i, a in enumerate(x))


def use(device: Device) -> None:
    """Greet, write, run twice, read back, hash."""
    link = device.link
    got = link.hello()
    assert (got.board, got.model_name, got.arena_bytes) == (device.board.name, "tiny", 1520)
    x = bytes(i * 37 % 256 for i in range(IN_BYTES))
    for runs in (1, 2):
        link.write_input(0, x)
        link.run(hash_layers=True)
        y = expected(x)
        tail = struct.pack("<II", sum(y), runs)
        assert link.read_output(0) == y
        assert link.read_output(1) == tail
        assert link.hashes(2) == [zlib.crc32(y), zlib.crc32(tail)]
    assert link.segment_crc(0) == zlib.crc32(KEY)


@pytest.mark.parametrize("name", BOARDS)
def test_board_computes_over_its_uart(firmware: Callable[[str], Any], name: str) -> None:
    with open_device(load_board(name), firmware(name), emulate="unicorn") as device:
        use(device)


@pytest.mark.parametrize(
    ("name", "program"), [("mps2-an386", "qemu-system-arm"), ("rpi2", "qemu-arm"), ("rpi5", "qemu-aarch64")]
)
def test_board_computes_under_qemu(firmware: Callable[[str], Any], name: str, program: str) -> None:
    if shutil.which(program) is None and shutil.which(f"{program}-static") is None:
        pytest.skip(f"{program} is not installed")
    with open_device(load_board(name), firmware(name), emulate="qemu") as device:
        assert device.counter is None
        use(device)


@pytest.mark.parametrize("name", BOARDS)
def test_counts_repeat_and_split_at_layers(firmware: Callable[[str], Any], name: str) -> None:
    """Counts do not depend on the run, on hashing, or on what ran before."""
    board = load_board(name)
    seen = []
    for _ in range(2):
        with open_device(board, firmware(name), emulate="unicorn", count=True) as device:
            assert device.counter is not None
            assert device.counter.metric == board.core.metric
            device.link.hello()
            for hashed in (False, True, False):
                device.link.run(hash_layers=hashed)
                seen.append((device.counter.layers(), device.counter.instructions()))
            device.counter.enable(False)
            device.link.run()
            assert device.counter.layers() == seen[-1][0]
            device.counter.enable(True)
            device.link.run()
            seen.append((device.counter.layers(), device.counter.instructions()))
    plain = [s for i, s in enumerate(seen) if i % 4 != 1]
    assert plain == [plain[0]] * len(plain)
    for layers, instructions in seen:
        assert [i for i, _ in layers] == [0, 1]
        # Every one of 1500 bytes takes at least 1/16 of a vector instruction, at most a dozen plain ones.
        assert all(IN_BYTES / 16 < n < 20 * IN_BYTES for _, n in layers + instructions)
    for (a, _), (b, _) in itertools.pairwise(seen):
        # A hashed run leaves eb_trace by its other branch: a handful of instructions, never the CRC itself.
        assert all(abs(m - n) < 20 for (_, m), (_, n) in zip(a, b, strict=True))


def test_traffic_is_not_slow(firmware: Callable[[str], Any]) -> None:
    with open_device(load_board("pico"), firmware("pico"), emulate="unicorn") as device:
        device.link.hello()
        device.link.write_input(0, bytes(IN_BYTES))
        start = time.perf_counter()
        for _ in range(10):
            device.link.write_input(0, bytes(IN_BYTES))
        assert IN_BYTES * 10 / (time.perf_counter() - start) > 10_000


# Failing like the hardware


def image_of(board: Board, code: bytes, *, sp: int | None = None) -> bytes:
    """A flash image of a vector table and raw code."""
    flash = next(m for m in board.memories if m.kind == "flash")
    ram = next(m for m in board.memories if m.kind == "ram")
    vectors = struct.pack("<II", ram.origin + 0x1000 if sp is None else sp, flash.origin + 8 | 1)
    image = vectors + code
    return seal_boot2(bytes(256)) + image if any(m.kind == "boot" for m in board.memories) else image


def halfwords(*h: int) -> bytes:
    return struct.pack(f"<{len(h)}H", *h)


LOOP = 0xE7FE
UDIV = halfwords(0x2006, 0x2103, 0xFBB0, 0xF0F1, LOOP)  # movs r0,#6; movs r1,#3; udiv r0,r0,r1; b .
# movs r1,#1; lsls r1,r1,#29; adds r1,#1; ldr r0,[r1]; b .
UNALIGNED = halfwords(0x2101, 0x0749, 0x3101, 0x6808, LOOP)
SMLAD = halfwords(0xFB20, 0x0001, LOOP)


@pytest.fixture
def machine() -> Iterator[Callable[..., CortexM]]:
    made = []

    def make(name: str, code: bytes, **options: Any) -> CortexM:
        board = load_board(name)
        made.append(CortexM(board, image_of(board, code, **options), hang_seconds=30.0))
        return made[-1]

    yield make
    for m in made:
        m.close()


@pytest.mark.parametrize("code", [UDIV, UNALIGNED, SMLAD], ids=["udiv", "unaligned", "smlad"])
def test_m0plus_lacks_what_the_m4_has(machine: Callable[..., CortexM], code: bytes) -> None:
    with pytest.raises(LinkError, match="the emulated pico crashed"):
        machine("pico", code).read(0)
    with pytest.raises(LinkError, match="endless loop"):
        machine("nucleo-f446re", code).read(0)


def test_a_bad_access_names_address_and_instruction(machine: Callable[..., CortexM]) -> None:
    # movs r1,#9; lsls r1,r1,#28 (0x90000000); ldr r0,[r1]
    m = machine("pico", halfwords(0x2109, 0x0709, 0x6808, LOOP))
    with pytest.raises(
        LinkError, match=r"read from unmapped address 0x90000000 .* at instruction address 0x1000010c"
    ):
        m.read(0)
    with pytest.raises(LinkError, match="0x90000000"):  # it stays dead
        m.write(b"x")
    with pytest.raises(LinkError, match=r"read from unmapped address 0x0 "):
        machine("pico", halfwords(0x2100, 0x6808, LOOP)).read(0)  # null pointer
    # movs r1,#1; lsls r1,r1,#28; str r0,[r1]: flash is not memory
    with pytest.raises(LinkError, match="write to read-only address 0x10000000"):
        machine("pico", halfwords(0x2101, 0x0709, 0x6008, LOOP)).read(0)
    # movs r0,#1; lsls r0,r0,#30; adds r0,#1; bx r0: nothing but devices there
    with pytest.raises(LinkError, match="crashed"):
        machine("pico", halfwords(0x2003, 0x0780, 0x3001, 0x4700, LOOP)).read(0)


def test_a_busy_program_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebit.devices.unicorn_base._SLICE_SECONDS", 0.1)
    board = load_board("pico")
    busy = image_of(board, halfwords(0x1C40, 0x1C49, 0xE7FC))  # adds r0,#1; adds r1,#1; b back
    m = CortexM(board, busy, hang_seconds=0.5)
    try:
        with pytest.raises(LinkError, match="without an answer"):
            m.read(0)
    finally:
        m.close()


def test_images_a_board_would_not_start() -> None:
    pico, pico2, nucleo = load_board("pico"), load_board("pico2"), load_board("nucleo-f446re")
    good = image_of(pico, UDIV)
    with pytest.raises(LinkError, match="second-stage boot"):
        CortexM(pico, b"\1" + good[1:])
    with pytest.raises(LinkError, match="ends before its vector table"):
        CortexM(pico, good[:256])
    with pytest.raises(LinkError, match="vector table says stack 0x123"):
        CortexM(pico, image_of(pico, UDIV, sp=0x123))
    with pytest.raises(LinkError, match="image definition block"):
        CortexM(pico2, image_of(pico2, UDIV))
    with pytest.raises(WrongBoardError, match="does not fit"):
        CortexM(nucleo, bytes((512 << 10) + 1))


def test_linux_programs_that_do_not_belong(firmware: Callable[[str], Any]) -> None:
    with pytest.raises(WrongBoardError, match="not a static AArch64 program"):
        Aarch64Linux(load_board("rpi5"), firmware("pico").elf)


def test_choices_that_make_no_sense(firmware: Callable[[str], Any], tmp_path: Any) -> None:
    pico, rpi5, host = load_board("pico"), load_board("rpi5"), load_board("host")
    built = firmware("pico")
    assert emulators(rpi5) == ("unicorn", "qemu")
    assert emulators(host) == ()
    with pytest.raises(UsageError, match="there is: unicorn"):
        open_device(pico, built, emulate="qemu")
    with pytest.raises(UsageError, match="give one of them"):
        open_device(pico, built, emulate="unicorn", port="/dev/ttyACM0")
    with pytest.raises(NoBoardError, match="--emulate"):
        open_device(rpi5, built)
    missing = built._replace(elf=tmp_path / "no.elf", bin=tmp_path / "no.bin")
    with pytest.raises(ToolchainError, match="build it"):
        open_device(host, missing)
    with pytest.raises(EdgebitError, match="build it first"):
        open_device(pico, missing, emulate="unicorn")


def test_another_model_or_image_is_refused(firmware: Callable[[str], Any]) -> None:
    board, built = load_board("pico"), firmware("pico")
    with (
        open_device(board, built._replace(image_id="11" * 16), emulate="unicorn") as device,
        pytest.raises(WrongBoardError, match="runs image"),
    ):
        device.link.hello()
    with (
        open_device(board, built, emulate="unicorn", model_id="11" * 32) as device,
        pytest.raises(WrongBoardError, match="holds model 'tiny'"),
    ):
        device.link.hello()


def test_a_board_behind_a_serial_server(firmware: Callable[[str], Any]) -> None:
    """The path of a real board, `--port socket://...`, with an emulated one on the far side."""
    board, built = load_board("pico"), firmware("pico")
    machine = CortexM(board, built.bin.read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(4096):
                    machine.write(data)
                    while answer := machine.read(0):
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        try:
            with open_device(board, built, port=url) as device:
                assert device.emulator is None
                assert device.title == url
                use(device)
        finally:
            thread.join(5.0)
            machine.close()
    with pytest.raises(PortError, match="cannot connect"):
        open_device(board, built, port=url)


def test_a_damaged_counter_in_the_cache_is_built_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(counting, "cache_dir", lambda: tmp_path)
    source = Path(counting.__file__).with_name("hook.c")
    built = counting.compiled(source, "-nostdlib")
    built.write_bytes(built.read_bytes()[:100])
    counting.hook_library.cache_clear()
    assert counting.hook_library().eb_hook_clear
    counting.hook_library.cache_clear()
