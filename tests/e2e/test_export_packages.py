"""Packagings of the C library: each is built with the tools that are here, and its golden vector run where it can be.

arduino-cli and Zephyr are not needed: the Arduino library is compiled the way the Arduino build does it (its specification 1.5), and
Zephyr's CMake functions are played by CMake's own. That neither has been built by the real tool is said in the docs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebit.resources import data_dir
from edgebit.toolchain.build import build_export
from edgebit.workflow import Prepared, export_model, prepare_model

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Werror"]
# Debian's GCC comes without a C library; its headers are all that is missing here.
HEADERS = f"-isystem {data_dir('runtime_c') / 'port' / 'freestanding'}"
M4 = [*HEADERS.split(), "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
Export = Callable[[str], Path]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare_model(EXAMPLE / "digits.onnx")


@pytest.fixture(scope="module")
def export(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """An export with every packaging."""
    root, made = tmp_path_factory.mktemp("packages"), dict[str, Path]()

    def get(target: str) -> Path:
        if target not in made:
            packages = ("cmake", "arduino", "zephyr")
            made[target] = export_model(
                prepared, target, root / target, vectors=EXAMPLE / "test.npz", limit=1, packages=packages
            )[0].path
        return made[target]

    return get


def need(*programs: str) -> None:
    for p in programs:
        if shutil.which(p) is None:
            pytest.skip(f"{p} is not installed; this packaging was not built")


def run(*command: object, cflags: str = "") -> str:
    env = {**os.environ, "CFLAGS": cflags}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


CONSUMER = """cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES C CXX)
find_package(digits REQUIRED)
add_executable(app main.cpp)
target_link_libraries(app PRIVATE digits::digits)
"""
MAIN = """#include <stdio.h>
#include "digits.h"
alignas(16) static unsigned char arena[DIGITS_ARENA_BYTES];
int main() {
    digits_ctx ctx;
    if (digits_init(&ctx, nullptr, 0, arena, sizeof arena) != EB_OK) return 1;
    for (int i = 0; i < DIGITS_INPUT_0_ELEMENTS; i++) digits_input_0(&ctx)[i] = 0;
    if (digits_run(&ctx) != EB_OK) return 2;
    puts(DIGITS_MODEL_ID);
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_cmake_package_is_found_and_bit_exact(compiler: str, export: Export, tmp_path: Path) -> None:
    need("cmake", compiler, "ninja")
    folder, before = export("host"), sorted(export("host").rglob("*"))
    build, prefix = tmp_path / "build", tmp_path / "prefix"
    flags = (
        f"-DCMAKE_C_COMPILER={compiler}",
        f"-DCMAKE_C_FLAGS={' '.join(STRICT)}",
        "-DCMAKE_BUILD_TYPE=Release",
    )
    run("cmake", "-G", "Ninja", "-S", folder, "-B", build, *flags)
    run("cmake", "--build", build)
    assert "100% tests passed" in run("ctest", "--test-dir", build)
    run("cmake", "--install", build, "--prefix", prefix)
    assert sorted(folder.rglob("*")) == before, "a build leaves the export as it is"
    app = tmp_path / "app"
    app.mkdir()
    (app / "CMakeLists.txt").write_text(CONSUMER)
    (app / "main.cpp").write_text(MAIN)
    run("cmake", "-G", "Ninja", "-S", app, "-B", app / "build", f"-DCMAKE_PREFIX_PATH={prefix}", *flags[:1])
    run("cmake", "--build", app / "build")
    assert len(run(app / "build" / "app").strip()) == 64


def test_a_wrong_golden_byte_fails_ctest(export: Export, tmp_path: Path) -> None:
    need("cmake", "gcc", "ninja")
    folder = tmp_path / "copy"
    shutil.copytree(export("host"), folder)
    header = folder / "check" / "digits_golden.h"
    head, mark, values = header.read_text().partition("digits_golden_out0[] = {\n")
    first, comma, rest = values.partition(",")
    header.write_text(f"{head}{mark}    {int(first) ^ 1}{comma}{rest}")
    run("cmake", "-G", "Ninja", "-S", folder, "-B", tmp_path / "b")
    run("cmake", "--build", tmp_path / "b")
    assert (
        subprocess.run(["ctest", "--test-dir", tmp_path / "b"], capture_output=True, check=False).returncode
        != 0
    )


@pytest.mark.parametrize("target", ["pico", "stm32f4-discovery", "rpi4"])
def test_cmake_cross_compiles_with_its_own_toolchain_file(
    target: str, export: Export, tmp_path: Path
) -> None:
    folder = export(target)
    headers = HEADERS if target != "rpi4" else ""
    (toolchain,) = (folder / "cmake").glob("toolchain-*.cmake")
    need("cmake", "ninja", "aarch64-linux-gnu-gcc" if target == "rpi4" else "arm-none-eabi-gcc")
    run(
        "cmake",
        "-G",
        "Ninja",
        "-S",
        folder,
        "-B",
        tmp_path,
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
        cflags=headers,
    )
    run("cmake", "--build", tmp_path)
    assert (tmp_path / "libdigits.a").stat().st_size > 1000


def test_arduino_library_compiles_as_the_arduino_build_does(export: Export, tmp_path: Path) -> None:
    need("arm-none-eabi-gcc", "arm-none-eabi-g++", "arm-none-eabi-objdump")
    library = export("stm32f4-discovery") / "arduino" / "digits"
    facts = dict(line.split("=", 1) for line in (library / "library.properties").read_text().splitlines())
    assert {
        "name",
        "version",
        "author",
        "maintainer",
        "sentence",
        "paragraph",
        "category",
        "url",
        "architectures",
    } <= set(facts)
    assert facts["category"] == "Data Processing"
    objects = []
    for i, source in enumerate(sorted((library / "src").rglob("*.c"))):
        out = tmp_path / f"{i}.o"
        # Arduino's flags for C: gnu11, warnings off by default, src/ alone on the include path.
        run(
            "arm-none-eabi-gcc",
            *M4,
            "-Os",
            "-std=gnu11",
            "-w",
            f"-I{library / 'src'}",
            "-c",
            source,
            "-o",
            out,
        )
        objects.append(out)
    assert len(objects) > 5
    code = "".join(run("arm-none-eabi-objdump", "-d", o) for o in objects)
    assert "vmul.f32" in code, "there is float code to look at"
    assert "vfma" not in code
    assert "vfms" not in code
    core = tmp_path / "core"
    core.mkdir()
    (core / "Arduino.h").write_text(
        "struct Port { void begin(long); void print(const char *); void print(unsigned long); void println(const char *); };\n"
        "extern Port Serial; unsigned long micros(); void delay(unsigned long);\n"
    )
    sketch = library / "examples" / "Golden" / "Golden.ino"
    flags = [
        "-x",
        "c++",
        "-std=gnu++17",
        "-Drestrict=__restrict",
        "-include",
        core / "Arduino.h",
        f"-I{library / 'src'}",
    ]
    run("arm-none-eabi-g++", *M4, *flags, "-c", sketch, "-o", tmp_path / "sketch.o")


ZEPHYR = """cmake_minimum_required(VERSION 3.16)
project(stand_in LANGUAGES C)
function(zephyr_include_directories)
  include_directories(${ARGN})
  set_property(GLOBAL PROPERTY public ${ARGN})
endfunction()
macro(zephyr_library_named name)
  add_library(${name} STATIC)
  set(current ${name})
endmacro()
macro(zephyr_library_sources)
  target_sources(${current} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_sources_ifdef option)
  if(${${option}})
    target_sources(${current} PRIVATE ${ARGN})
  endif()
endmacro()
macro(zephyr_library_include_directories)
  target_include_directories(${current} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${current} PRIVATE ${ARGN})
endmacro()
set(CONFIG_EDGEBIT_DIGITS y)
set(CONFIG_EDGEBIT_DIGITS_CHECK y)
add_subdirectory(${MODULE}/zephyr module)
"""


def test_zephyr_module_compiles_with_stand_ins_for_its_functions(export: Export, tmp_path: Path) -> None:
    need("cmake", "ninja", "arm-none-eabi-gcc", "arm-none-eabi-nm")
    folder = export("stm32f4-discovery")
    assert (folder / "zephyr" / "module.yml").read_text().splitlines()[1:] == [
        "build:",
        "  cmake: zephyr",
        "  kconfig: zephyr/Kconfig",
    ]
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR)
    toolchain = folder / "cmake" / "toolchain-cortex-m4f.cmake"
    run(
        "cmake",
        "-G",
        "Ninja",
        "-S",
        tmp_path,
        "-B",
        tmp_path / "b",
        f"-DMODULE={folder}",
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
        cflags=HEADERS,
    )
    run("cmake", "--build", tmp_path / "b")
    symbols = run("arm-none-eabi-nm", tmp_path / "b" / "module" / "libedgebit_digits.a")
    assert " T digits_run\n" in symbols
    assert " T digits_check\n" in symbols
    assert "-ffp-contract=off" in (tmp_path / "b" / "build.ninja").read_text()


def test_packagings_do_not_change_the_program(export: Export, prepared: Prepared, tmp_path: Path) -> None:
    plain, _ = export_model(prepared, "pico", tmp_path / "pico", vectors=EXAMPLE / "test.npz", limit=1)
    assert build_export(plain.path).image_id == build_export(export("pico")).image_id
    assert not (plain.path / "CMakeLists.txt").exists()


def test_an_unknown_packaging_is_bad_usage(edgebit: Callable[..., Any], tmp_path: Path) -> None:
    said = edgebit(
        "export",
        EXAMPLE / "digits.onnx",
        "-t",
        "pico",
        "-o",
        tmp_path / "x",
        "--as",
        "bazel",
        "--json",
        code=2,
    ).json
    assert "choose from arduino, cmake" in said["error"]
    assert not (tmp_path / "x").exists()
