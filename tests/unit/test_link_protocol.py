"""The link: Python's end against the real C application, compiled for this machine, and rubbish."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebit.devices.link import PAYLOAD_MAX, Frame, Hello, Kind, Link
from edgebit.devices.process import ProcessTransport
from edgebit.devices.serial import explain, open_port
from edgebit.errors import LinkError, PortError, ToolchainError, UsageError, WrongBoardError
from edgebit.resources import data_dir

TINY = Path(__file__).parent / "tiny_app"
MODEL_ID = bytes.fromhex("a0a1a2a3a4a5a600")
IN_BYTES = 1500
KEY = bytes(range(1, 17))
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", '-DTINY_BOARD="host"']


def compile_app(out: Path, compiler: list[str], flags: list[str]) -> Path:
    """The bench application with the hand-made model, reading standard input."""
    rc = data_dir("runtime_c")
    includes = [f"-I{p}" for p in (rc / "include", rc / "app", rc / "port", TINY)]
    sources = [str(p) for p in sorted((rc / "app").glob("*.c")) + sorted(TINY.glob("*.c"))]
    done = subprocess.run(
        [*compiler, *WARNINGS, *flags, *includes, *sources, "-o", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
    command = [compiler] if compiler else [sys.executable, "-m", "ziglang", "cc"]
    return compile_app(tmp_path_factory.mktemp("app") / "app", command, ["-O1"])


@pytest.fixture(scope="session")
def checked_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same under the address and undefined-behaviour sanitisers."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("neither gcc nor clang here: the sanitised build of the application cannot be made")
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    return compile_app(tmp_path_factory.mktemp("checked") / "app", [compiler], flags)


@pytest.fixture
def link(app: Path) -> Iterator[Link]:
    with Link(ProcessTransport([str(app)]), timeout=5.0) as made:
        yield made


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_app_is_clean_under_warnings(tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    compile_app(tmp_path / "app", [compiler], ["-O2"])


frames = st.builds(
    Frame,
    kind=st.integers(0, 255),
    seq=st.integers(0, 255),
    model_id=st.binary(min_size=8, max_size=8),
    index=st.integers(0, 0xFFFF),
    offset=st.integers(0, 0xFFFFFFFF),
    arg=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=PAYLOAD_MAX) | st.integers(0, PAYLOAD_MAX).map(bytes),
    status=st.integers(-128, 127),
    entry=st.integers(0, 0xFFFF),
)


@given(frames)
def test_frames_survive_the_wire(frame: Frame) -> None:
    wire = frame.encode()
    assert wire.count(0) == 1
    assert wire.endswith(b"\0")
    assert Frame.decode(wire[:-1]) == frame


@given(frames, st.data())
def test_a_damaged_frame_is_no_frame(frame: Frame, data: st.DataObject) -> None:
    wire = bytearray(frame.encode()[:-1])
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    assert Frame.decode(bytes(wire)) is None


def test_hello(link: Link) -> None:
    assert link.hello() == Hello(1, 512, MODEL_ID.hex(), "00" * 16, 1, 2, 2, 2, 1520, "host", "tiny", "none")


def test_a_run_from_write_to_read(link: Link) -> None:
    link.hello()
    x = bytes(i * 7 % 256 for i in range(IN_BYTES))
    y = bytes(a ^ KEY[i % 16] for i, a in enumerate(x))
    tail = struct.pack("<II", sum(y), 1)
    link.reset()
    link.write_input(0, x)
    link.run(hash_layers=True)
    assert link.read_output(0) == y
    assert link.read_output(1) == tail
    assert link.read_output(1, 8) == tail
    assert link.hashes() == [zlib.crc32(y), zlib.crc32(tail)]
    assert [link.segment_crc(i) for i in range(2)] == [zlib.crc32(KEY), zlib.crc32(b"\0\0\1")]
    assert link.hashes(2) == link.hashes()
    with pytest.raises(LinkError, match="has 2 layers, not 3"):
        link.hashes(3)
    assert link.cycles() == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(min_size=IN_BYTES, max_size=IN_BYTES) | st.integers(0, 255).map(lambda b: bytes([b]) * IN_BYTES)
)
def test_every_payload_arrives_as_sent(link: Link, x: bytes) -> None:
    link.hello()
    link.write_input(0, x)
    assert link.read_output(0) == x


def test_hashes_need_a_hashed_run(link: Link) -> None:
    link.hello()
    link.run()
    with pytest.raises(LinkError, match="not asked to hash"):
        link.hashes()


def exchange(transport: ProcessTransport, frame: Frame) -> Frame:
    transport.write(frame.encode())
    got = b""
    while not got.endswith(b"\0"):
        part = transport.read(5.0)
        assert part, "no reply"
        got += part
    reply = Frame.decode(got[:-1])
    assert reply is not None
    return reply


RANGE, MODEL, KIND, ENTRY, VERSION = -3, -2, -1, -5, -4


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (Frame(Kind.WRITE, 1, MODEL_ID, 0, 0, 0, b"x" * 512), 0),
        (Frame(Kind.WRITE, 1, MODEL_ID, 0, IN_BYTES - 1, 0, b"x"), 0),
        (Frame(Kind.WRITE, 1, MODEL_ID, 0, IN_BYTES, 0, b"x"), RANGE),
        (Frame(Kind.WRITE, 1, MODEL_ID, 0, IN_BYTES + 1, 0, b""), RANGE),
        (Frame(Kind.WRITE, 1, MODEL_ID, 0, 0xFFFFFFFF, 0, b"xx"), RANGE),
        (Frame(Kind.WRITE, 1, MODEL_ID, 1, 0, 0, b"x"), RANGE),
        (Frame(Kind.WRITE, 1, MODEL_ID, 0xFFFF, 0, 0, b"x"), RANGE),
        (Frame(Kind.READ, 1, MODEL_ID, 0, 0, 513), RANGE),
        (Frame(Kind.READ, 1, MODEL_ID, 1, 0, 9), RANGE),
        (Frame(Kind.READ, 1, MODEL_ID, 1, 8, 0), 0),
        (Frame(Kind.READ, 1, MODEL_ID, 1, 0xFFFFFFFF, 0xFFFFFFFF), RANGE),
        (Frame(Kind.READ, 1, MODEL_ID, 2, 0, 1), RANGE),
        (Frame(Kind.SEGMENT, 1, MODEL_ID, 2), RANGE),
        (Frame(Kind.HASHES, 1, MODEL_ID, 0, 0), -7),
        (Frame(Kind.RUN, 1, bytes(8)), MODEL),
        (Frame(Kind.RUN, 1, MODEL_ID, entry=1), ENTRY),
        (Frame(Kind.RUN, 1, MODEL_ID, version=2), VERSION),
        (Frame(Kind.HELLO, 1, b"notmodel"), MODEL),
        (Frame(0, 1, MODEL_ID), KIND),
        (Frame(0x81, 1, MODEL_ID), KIND),
    ],
)
def test_bounds_and_ids(app: Path, frame: Frame, status: int) -> None:
    transport = ProcessTransport([str(app)])
    try:
        reply = exchange(transport, frame)
    finally:
        transport.close()
    assert reply.status == status
    assert reply.model_id == MODEL_ID
    assert (reply.kind, reply.seq) == (frame.kind | 0x80, frame.seq)
    if status != 0:
        assert reply.payload == b""


def test_a_retry_is_not_a_second_run(app: Path) -> None:
    """A lost reply must not run the model again: its inputs are gone by then."""
    transport = ProcessTransport([str(app)])
    try:
        first = exchange(transport, Frame(Kind.RUN, 5, MODEL_ID))
        again = exchange(transport, Frame(Kind.RUN, 5, MODEL_ID))
        runs = exchange(transport, Frame(Kind.READ, 6, MODEL_ID, 1, 4, 4)).payload
        exchange(transport, Frame(Kind.RUN, 7, MODEL_ID))
        more = exchange(transport, Frame(Kind.READ, 8, MODEL_ID, 1, 4, 4)).payload
    finally:
        transport.close()
    assert first == again
    assert (runs, more) == (b"\1\0\0\0", b"\2\0\0\0")


class Rubbish:
    """A transport that damages what passes: drops or garbles every n-th write or read."""

    def __init__(self, inner: ProcessTransport, pattern: str) -> None:
        self.inner, self.pattern, self.count, self.where = inner, pattern, 0, inner.where

    def write(self, data: bytes) -> None:
        self.count += 1
        if len(data) > 1 and self.count % 3 == 0:
            if self.pattern == "drop":
                return
            if self.pattern == "garble":
                data = bytes([data[0] ^ 0x55]) + data[1:]
            if self.pattern == "truncate":
                data = data[: len(data) // 2]
        self.inner.write(data)

    def read(self, timeout: float) -> bytes:
        data = self.inner.read(timeout)
        if self.pattern == "noise" and data:
            return b"\xff\xfe boot message\r\n\0" + data
        if self.pattern == "mute" and data and self.count % 3 == 0:
            self.count += 1
            return b""
        return data

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("pattern", ["drop", "garble", "truncate", "noise", "mute"])
def test_retries_get_through(app: Path, pattern: str) -> None:
    with Link(Rubbish(ProcessTransport([str(app)]), pattern), timeout=0.3, retries=5) as link:
        link.hello()
        x = bytes(IN_BYTES)
        link.write_input(0, x)
        link.run_timeout = 0.3
        link.run()
        assert link.read_output(1)[4:] == b"\1\0\0\0"


def test_silence_names_the_port() -> None:
    transport = ProcessTransport([sys.executable, "-c", "import sys; sys.stdin.read()"], where="/dev/ttyX7")
    with (
        Link(transport, timeout=0.05, retries=1) as link,
        pytest.raises(LinkError, match="/dev/ttyX7 is silent"),
    ):
        link.hello()


def test_a_program_that_dies_says_why() -> None:
    transport = ProcessTransport([sys.executable, "-c", "import sys; sys.exit('no such luck')"])
    with Link(transport) as link, pytest.raises(LinkError, match="ended with 1: no such luck"):
        link.hello()


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ToolchainError, match="cannot start"):
        ProcessTransport(["/nonexistent/program"])


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"model_id": "0123456789abcdef"}, "flash it first"),
        ({"image_id": "cd" * 16}, "flash it again"),
        ({"board": "pico"}, "not a 'pico'"),
    ],
)
def test_wrong_device(app: Path, expect: dict[str, object], words: str) -> None:
    transport = ProcessTransport([str(app)])
    with Link(transport, **expect) as link, pytest.raises(WrongBoardError, match=words):  # type: ignore[arg-type]
        link.hello()


chunks = st.lists(
    st.binary(max_size=700)
    | frames.map(Frame.encode)
    | st.builds(
        Frame,
        kind=st.sampled_from(list(Kind)),
        seq=st.integers(0, 255),
        model_id=st.just(MODEL_ID),
        index=st.integers(0, 3),
        offset=st.integers(0, 2000) | st.integers(0, 0xFFFFFFFF),
        arg=st.integers(0, 600) | st.integers(0, 0xFFFFFFFF),
        payload=st.binary(max_size=PAYLOAD_MAX),
    ).map(Frame.encode),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(chunks)
def test_rubbish_never_breaks_the_application(checked_app: Path, rubbish: list[bytes]) -> None:
    """Whatever comes in, the application stays within its memory and answers the next greeting."""
    last = Frame(Kind.HELLO, 99, bytes(8)).encode()
    done = subprocess.run(
        [str(checked_app)], input=b"".join(rubbish) + b"\0" + last, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    *_, wire, end = done.stdout.split(b"\0")
    assert end == b""
    reply = Frame.decode(wire)
    assert reply is not None
    assert (reply.kind, reply.seq, reply.status) == (Kind.HELLO | 0x80, 99, 0)


@pytest.mark.parametrize("size", [540, 541, 542, 543, 544, 545, 5000])
def test_long_frames_are_dropped(checked_app: Path, size: int) -> None:
    last = Frame(Kind.HELLO, 7, bytes(8)).encode()
    wire = b"\x01" * size + b"\0" + b"\xff" * size + b"\0" + last
    done = subprocess.run([str(checked_app)], input=wire, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(0) == 1


def test_port_errors_say_the_fix() -> None:
    denied = explain("/dev/ttyACM0", PermissionError(13, "Permission denied"))
    assert "usermod -aG" in str(denied)
    assert "udev" in str(denied)
    assert "close the serial monitor" in str(explain("/dev/ttyACM0", OSError(16, "Device or resource busy")))
    with pytest.raises(PortError, match="there is no port /dev/nosuchtty"):
        open_port("/dev/nosuchtty", 115200)
    for wrong in ("socket://nohost", "socket://127.0.0.1:99999", "socket://127.0.0.1:abc"):
        with pytest.raises(UsageError, match="socket://HOST:PORT"):
            open_port(wrong, 115200)
    with pytest.raises(PortError, match="cannot connect"):
        open_port("socket://127.0.0.1:1", 115200)


def test_a_pseudo_terminal_carries_the_link(app: Path) -> None:
    """pyserial's path, with a pseudo-terminal for the cable."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")
    import os
    import threading
    import tty

    host_end, device_end = pty.openpty()
    tty.setraw(host_end)
    tty.setraw(device_end)
    name = os.ttyname(device_end)
    process = subprocess.Popen([str(app)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None
    assert process.stdout is not None

    def down() -> None:
        while True:
            try:
                data = os.read(host_end, 4096)
            except OSError:
                return
            process.stdin.write(data)

    def up() -> None:
        while data := os.read(process.stdout.fileno(), 4096):
            os.write(host_end, data)

    threads = [threading.Thread(target=f, daemon=True) for f in (down, up)]
    for t in threads:
        t.start()
    try:
        with Link(open_port(name, 115200), timeout=5.0) as link:
            link.hello()
            link.write_input(0, bytes(IN_BYTES))
            started = time.monotonic()
            link.run()
            assert time.monotonic() - started < 2.0
            assert link.read_output(0) == bytes(KEY[i % 16] for i in range(IN_BYTES))
    finally:
        os.close(device_end)
        process.kill()
        process.wait()
        threads[1].join(2.0)
        os.close(host_end)
        threads[0].join(2.0)
        process.stdin.close()
        process.stdout.close()
