"""The environment for PlatformIO's stock platforms, without its registry: what would be downloaded is played.

PlatformIO itself reads the project, chooses the sources and runs the compiler. A stand-in of the platform has the name, the
board and the processor flags of the real one, and for an Arduino core Serial, micros and delay on EdgeBit's own port of the
board. The linked image runs in the emulated board and says whether its outputs are the reference's. The real platforms, with
their compilers, cores and linker scripts, have not been tried: the docs say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edgebit.exporters.firmware import MIN_STACK, board_config, linker_script, port_files

from edgebit.board import list_boards, load_board
from edgebit.devices.unicorn_m import CortexM
from edgebit.resources import data_dir
from edgebit.toolchain.elf import Image
from edgebit.toolchain.pio import core_folder
from edgebit.toolchain.uf2 import BOOT2_BYTES, seal_boot2
from edgebit.workflow import Prepared, export_model, prepare_model

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"
pytest.importorskip("platformio", reason="PlatformIO is not installed: projects for it were not built")
pytest.importorskip("SCons", reason="SCons is not installed: PlatformIO projects were not built")

FPU = {"cortex-m4f": "-mfpu=fpv4-sp-d16", "cortex-m7": "-mfpu=fpv5-d16", "cortex-m33": "-mfpu=fpv5-sp-d16"}
"""As the platforms have it; Nordic's leave the FPU to the project."""
STOCK = [b for b in list_boards() if load_board(b).platformio]
BUILDER = """
from SCons.Script import Default, DefaultEnvironment
env = DefaultEnvironment()
board = env.BoardConfig()
flags = ["-mthumb", "-mcpu=" + board.get("build.cpu"), *board.get("build.fpu").split()]
env.Replace(
    AR="arm-none-eabi-gcc-ar", AS="arm-none-eabi-as", CC="arm-none-eabi-gcc", CXX="arm-none-eabi-g++",
    RANLIB="arm-none-eabi-gcc-ranlib", SIZETOOL=None, PROGNAME="firmware", PROGSUFFIX=".elf", ARFLAGS=["rc"],
)
env.Append(
    ASFLAGS=flags, CCFLAGS=[*flags, "-Os", "-ffunction-sections", "-fdata-sections", "-Wall", "-ffreestanding"],
    CXXFLAGS=["-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"],
    LINKFLAGS=[*flags, "-nostdlib", "-nostartfiles", "-Wl,--gc-sections"], LIBS=["gcc"],
    CPPDEFINES=[("F_CPU", board.get("build.f_cpu")), "ARDUINO=10805"],
)
Default(env.BuildProgram())
"""
FRAMEWORK = """
import os
Import("env")
core = os.path.join(env.PioPlatform().get_dir(), "core")
env.Append(CPPPATH=[core])
env.BuildSources(os.path.join("$BUILD_DIR", "Core"), core)
env.Replace(LDSCRIPT_PATH=os.path.join(core, "link.ld"))
"""
ARDUINO_H = """#pragma once
struct Port { void begin(long); void print(const char *); void print(unsigned long); void println(const char *); };
extern Port Serial;
unsigned long micros();
void delay(unsigned long);
void setup();
void loop();
"""
ARDUINO_CPP = """#include "Arduino.h"
extern "C" {
#include "eb_port.h"
}
Port Serial;
void Port::begin(long) {}
void Port::print(const char *s) { while (*s) eb_port_putc((unsigned char)*s++); }
void Port::print(unsigned long n) { if (n > 9) print(n / 10); eb_port_putc((unsigned char)('0' + n % 10)); }
void Port::println(const char *s) { print(s); print("\\r\\n"); }
unsigned long micros() { static unsigned long now; return now += 7; }
void delay(unsigned long) { (void)eb_port_getc(); }
extern "C" int main() { setup(); for (;;) loop(); }
"""


def stand_in(root: Path, name: str) -> Path:
    """A PlatformIO home that holds SCons and, under its stock name, a platform with one board; returns it."""
    board = load_board(name)
    stock = board.platformio
    home = root / "home"
    shutil.copytree(core_folder() / "packages", home / "packages")
    platform = home / "platforms" / stock["platform"]
    (platform / "boards").mkdir(parents=True)
    (platform / "builder").mkdir()
    core = platform / "core"
    core.mkdir()
    facts = {"name": stock["platform"], "version": "1.0.0", "title": "", "packages": {}}
    facts["frameworks"] = {stock["framework"]: {"script": "builder/arduino.py"}}
    (platform / "platform.json").write_text(json.dumps(facts))
    (platform / "platform.py").write_text(
        "from platformio.platform.base import PlatformBase\nclass StandInPlatform(PlatformBase):\n    pass\n".replace(
            "StandIn", stock["platform"].capitalize()
        )
    )
    (platform / "builder" / "main.py").write_text(BUILDER)
    (platform / "builder" / "arduino.py").write_text(FRAMEWORK)
    hard = stock["platform"] not in ("nordicnrf51", "nordicnrf52") and board.core.name in FPU
    fpu = f"{FPU[board.core.name]} -mfloat-abi=hard" if hard else "-mfloat-abi=soft"
    told = {
        "name": board.title,
        "vendor": "",
        "url": "",
        "frameworks": [stock["framework"]],
        "build": {
            "cpu": board.core.name.removesuffix("f"),
            "fpu": fpu,
            "f_cpu": f"{board.clock_hz}L",
            "mcu": name,
        },
        "upload": {"maximum_size": board.flash_bytes, "maximum_ram_size": board.ram_bytes},
    }
    (platform / "boards" / f"{stock['board']}.json").write_text(json.dumps(told))
    port = data_dir("runtime_c") / "port"
    for file in [*port_files(board), port / "eb_port.h", *(port / "freestanding").iterdir()]:
        shutil.copy(file, core)
    memory = (core / "string.h").read_text()  # ours is for C alone
    (core / "string.h").write_text(
        f'#ifdef __cplusplus\n#define restrict __restrict\nextern "C" {{\n#endif\n{memory}\n'
        "#ifdef __cplusplus\n}\n#endif\n"
    )
    (core / "board_config.h").write_text(board_config(board))
    template = (port / "cortex_m" / "link.ld").read_text()
    (core / "link.ld").write_text(linker_script(board, template, MIN_STACK))
    (core / "Arduino.h").write_text(ARDUINO_H)
    (core / "Arduino.cpp").write_text(ARDUINO_CPP)
    return home


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare_model(EXAMPLE / "digits.onnx")


def export(prepared: Prepared, board: str, folder: Path) -> Path:
    small = 0 < load_board(board).ram_bytes < 32 << 10
    export_model(
        prepared,
        board,
        folder,
        vectors=EXAMPLE / "test.npz",
        limit=1,
        optimize="size" if small else "balanced",
        packages=("platformio",),
    )
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")


def build_and_run(prepared: Prepared, name: str, root: Path) -> None:
    """The user's `platformio run`, and what the image prints on the emulated board."""
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("arm-none-eabi-g++ is not installed: the stock environment was not built")
    folder = export(prepared, name, root / "digits")
    before = sorted(folder.rglob("*"))
    env = {**os.environ, "PLATFORMIO_CORE_DIR": str(stand_in(root, name)), "PYTHONWARNINGS": "ignore"}
    # the project keeps its platforms apart from those of PlatformIO's home, where the stand-in is
    env["PLATFORMIO_PLATFORMS_DIR"] = str(root / "home" / "platforms")
    command = [sys.executable, "-m", "platformio", "run", "-d", str(folder), "-v"]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    compiled = [line for line in done.stdout.splitlines() if " -c " in line and "digits.c.o" in line]
    assert len(compiled) == 1
    assert "-ffp-contract=off" in compiled[0]
    assert sorted(folder.rglob("*")) == before, "the export is as it was"
    (elf,) = root.glob(f"digits-{name}.pio/build/*/firmware.elf")
    board = load_board(name)
    image = Image(elf).flat()[1]
    if "boot2" in board.port:
        image = seal_boot2(image[:BOOT2_BYTES]) + image[BOOT2_BYTES:]
    machine = CortexM(board, image)
    try:
        said = machine.read(0).decode()
    finally:
        machine.close()
    assert said.startswith("digits: bit-exact, ")


@pytest.mark.usefixtures("no_network")
def test_the_golden_vector_is_bit_exact_on_the_board(prepared: Prepared, tmp_path: Path) -> None:
    build_and_run(prepared, "nucleo-f446re", tmp_path)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", [b for b in STOCK if b != "nucleo-f446re"])
def test_the_other_boards_are_no_different(name: str, prepared: Prepared, tmp_path: Path) -> None:
    build_and_run(prepared, name, tmp_path)


@pytest.mark.parametrize("name", STOCK)
def test_project_reads_as_platformio_reads_it(
    name: str, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By PlatformIO's own parser: every option is known, every file is there, and none of it is for the firmware."""
    from platformio.project.config import ProjectConfig

    folder = export(prepared, name, tmp_path / "digits")
    monkeypatch.chdir(folder)
    config = ProjectConfig(str(folder / "platformio.ini"))
    config.validate()
    assert not config.warnings
    plain = name.replace(".", "_")
    assert config.default_envs() == [plain]
    assert set(config.envs()) == {plain, f"{plain}_edgebit"}
    env = f"env:{plain}"
    stock = load_board(name).platformio
    assert {k: config.get(env, k) for k in ("platform", "board")} == {
        k: stock[k] for k in ("platform", "board")
    }
    assert config.get(env, "framework") == ["arduino"]
    chosen = [w[2:-1] for w in config.get(env, "build_src_filter") if w.startswith("+<")]
    assert len(chosen) > 4
    assert all((folder / path).exists() for path in chosen)
    assert not any(path.startswith(("app/", "port/")) for path in chosen)
    flags = config.get(env, "build_flags")
    assert flags[0] == "-ffp-contract=off"
    assert all((folder / flag[2:]).is_dir() for flag in flags if flag.startswith("-I"))


def test_a_board_that_the_registry_lacks(prepared: Prepared, tmp_path: Path) -> None:
    text = (export(prepared, "pico2", tmp_path / "digits") / "platformio.ini").read_text()
    assert "[env:pico2]" not in text
    assert "default_envs = pico2_edgebit" in text
    assert not (tmp_path / "digits" / "src").exists()
