"""The Pico's own USB in rp2040js: the image is plugged in, enumerated, opened and spoken to as by an operating system.

Node.js and rp2040js are needed; what installs them is in the message of the skip.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgebit.bench.folder import ExportFolder, open_export
from edgebit.bench.session import connect
from edgebit.bench.verify import golden, verify
from edgebit.board import load_board
from edgebit.devices.link import Link
from edgebit.devices.rp2040js import Rp2040js, find_rp2040js
from edgebit.errors import LinkError, ToolchainError
from edgebit.toolchain.build import BuildResult, build_export
from edgebit.toolchain.uf2 import read_uf2, write_uf2

INTERFACE, ENDPOINT = 4, 5


@pytest.fixture(scope="module", autouse=True)
def _rp2040js() -> None:
    try:
        find_rp2040js()
    except ToolchainError as e:
        pytest.skip(f"the Pico's USB was not tried: {e}")


@pytest.fixture(scope="module")
def folder(digits: Callable[[str], Path]) -> ExportFolder:
    return open_export(digits("pico"))


@pytest.fixture(scope="module")
def built(folder: ExportFolder) -> BuildResult:
    return build_export(folder.path)


@pytest.fixture(scope="module")
def uf2(built: BuildResult) -> Path:
    assert built.uf2 is not None
    return built.uf2


@pytest.fixture
def plugged(uf2: Path) -> Iterator[Rp2040js]:
    machine = Rp2040js(load_board("pico"), uf2)
    yield machine
    machine.close()


def test_verify_over_usb(folder: ExportFolder, edgebit: Callable[..., object]) -> None:
    """Every layer, every output, over USB: the certificate of all boards."""
    with connect(folder, emulate="rp2040js") as device:
        assert device.emulator == "rp2040js"
        result = verify(folder, device.link, golden(folder))
    assert result.bit_exact
    assert result.certificate == folder.manifest["certificate"]


def test_the_picos_own_counter_agrees_with_rp2040js(folder: ExportFolder) -> None:
    """SysTick, as the firmware reads it, and the emulator's count of the same run; reading it takes some cycles."""
    with connect(folder, emulate="rp2040js", count=True) as device:
        assert device.link.hello().cycle_source == "SysTick"
        for k, i in enumerate(folder.graph.inputs):
            device.link.write_input(k, folder.vectors[0][i].tobytes())
        device.link.run(hash_layers=False)
        assert device.counter is not None
        outside = dict(device.counter.layers())
        own = device.link.cycles()
    assert len(own) == len(outside) == len(folder.manifest["layers"])
    for index, cycles in enumerate(own):
        assert abs(cycles - outside[index]) <= 80, (index, own, outside)


def test_rp2040js_and_the_cycle_model_agree(folder: ExportFolder) -> None:
    """Two emulators, two counts of a Cortex-M0+'s cycles, layer by layer within 2 % and in all within 1 %."""
    counts = []
    for emulator in ("rp2040js", "unicorn"):
        with connect(folder, emulate=emulator, count=True) as device:
            for k, i in enumerate(folder.graph.inputs):
                device.link.write_input(k, folder.vectors[0][i].tobytes())
            device.link.run()
            assert device.counter is not None
            counts.append(dict(device.counter.layers()))
    one, other = counts
    assert one.keys() == other.keys()
    assert sum(one.values()) == pytest.approx(sum(other.values()), rel=0.01)
    for layer, cycles in one.items():
        assert cycles == pytest.approx(other[layer], rel=0.02, abs=20)


def test_what_the_device_says_of_itself(plugged: Rp2040js) -> None:
    seen = plugged.seen
    device = bytes(seen["device"])
    assert bytes(seen["first"]) == device
    usb, _, _, _, _, vid, pid = struct.unpack_from("<HBBBBHH", device, 2)
    assert (usb, (vid, pid)) == (0x200, load_board("pico").usb_ids[0])
    assert seen["strings"] == ["EdgeBit", "EdgeBit pico"]
    assert seen["qualifier"] is None  # stalled, and the next request is answered
    assert seen["chosen"] == 1
    assert struct.unpack_from("<I", bytes(seen["coding"]))[0] == 115200
    assert seen["baud"] == pytest.approx(115200, rel=0.01)  # of the UART beside it
    assert 800e3 < seen["idle"] < 10e6  # nanoseconds of idle bus that RP2040-E5 wants
    assert seen["gpio15"] == 0x1F  # which stood in for D+
    parts, at = [], 0
    configuration = bytes(seen["configuration"])
    assert struct.unpack_from("<H", configuration, 2)[0] == len(configuration)
    while at < len(configuration):
        parts.append(configuration[at : at + configuration[at]])
        at += configuration[at]
    assert [p[5:8] for p in parts if p[1] == INTERFACE] == [b"\x02\x02\x00", b"\x0a\x00\x00"]
    assert [(p[2], p[3], p[4]) for p in parts if p[1] == ENDPOINT] == [
        (0x81, 3, 8),
        (2, 2, 64),
        (0x82, 2, 64),
    ]


def test_replies_of_every_length_arrive(plugged: Rp2040js, folder: ExportFolder) -> None:
    """Also those that fill their last packet, which an empty one must end."""
    with Link(plugged) as link:
        link.hello()
        link.run(hash_layers=True)
        whole = link.read_output(0)
        for n in (1, 8, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40):
            assert link.read_output(0, n) == whole[:n]
        link.write_input(0, b"\1" * folder.graph.tensors[folder.graph.inputs[0]].nbytes)


def test_the_uart_answers_too(uf2: Path) -> None:
    machine = Rp2040js(load_board("pico"), uf2, over="uart")
    with Link(machine) as link:
        assert link.hello().board == "pico"
        link.run()


def test_closing_at_1200_baud_starts_the_boot_loader(plugged: Rp2040js) -> None:
    """The ROM's function is called with no light and every interface."""
    plugged.ask("touch")
    assert plugged.event("bootsel", 20)["arguments"] == [0, 0]


def test_a_damaged_image_is_named(uf2: Path, tmp_path: Path) -> None:
    board = load_board("pico")
    family = int(board.flash_methods["uf2"]["family"])
    origin, image = read_uf2(uf2.read_bytes(), family)
    broken = tmp_path / "firmware.uf2"
    start = struct.unpack_from("<I", image, 0x104)[0] - 1 - origin
    wild = struct.pack("<HHH", 0x2003, 0x0700, 0x6800)  # r0 = 3 << 28; ldr r0, [r0]: nothing is there
    broken.write_bytes(write_uf2(image[:start] + wild + image[start + len(wild) :], origin, family))
    with pytest.raises(LinkError, match="invalid memory address: 30000000"):
        Rp2040js(board, broken)
    broken.write_bytes(write_uf2(b"\0" + image[1:], origin, family))
    with pytest.raises(LinkError, match="second-stage boot"):
        Rp2040js(board, broken)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEBIT_RP2040JS", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"npm install --prefix .* rp2040js@"):
        find_rp2040js()
    assert shutil.which("node")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"Node\.js is not installed"):
        find_rp2040js()
