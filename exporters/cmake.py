"""An installable CMake package: find_package(<name>), then link <name>::<name>.

    cmake -S <folder> -B build && cmake --build build && ctest --test-dir build && cmake --install build --prefix ...

For a core other than the host's, cmake/toolchain-<core>.cmake names compiler and flags.
"""

from __future__ import annotations

from edgebit.core import Core

from .package import FLOAT_FLAG, Packaging, add_check, library_sources
from .pipeline import Export

MINIMUM = "3.16"


class CMake(Packaging):
    """Written with --as cmake, for every target."""

    name = "cmake"

    def export(self, export: Export) -> None:
        add_check(export)
        export.add("CMakeLists.txt", lists(export))
        export.add(f"cmake/{export.name}Config.cmake", config(export))
        core = export.plan.core
        if core.family != "host":
            export.add(f"cmake/toolchain-{core.name}.cmake", toolchain(core))


def lists(export: Export) -> str:
    """CMakeLists.txt. The library has the export's name, its headers a folder of that name."""
    p = export.name
    sources = "\n".join(f"  {s}" for s in library_sources(export))
    return f"""# SPDX-License-Identifier: Apache-2.0
# The network {p} as a library. Written by EdgeBit {export.version}; do not edit: export the model again.
cmake_minimum_required(VERSION {MINIMUM})
project({p} VERSION {export.version} LANGUAGES C)
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

add_library({p} STATIC
{sources}
)
add_library({p}::{p} ALIAS {p})
target_include_directories({p}
  PUBLIC
    $<BUILD_INTERFACE:${{CMAKE_CURRENT_SOURCE_DIR}}>
    $<BUILD_INTERFACE:${{CMAKE_CURRENT_SOURCE_DIR}}/runtime/include>
    $<INSTALL_INTERFACE:${{CMAKE_INSTALL_INCLUDEDIR}}/{p}>
  PRIVATE
    ${{CMAKE_CURRENT_SOURCE_DIR}}/runtime/kernels
)
target_compile_features({p} PUBLIC c_std_11)
# Results must not depend on the machine: no fused multiply-add.
target_compile_options({p} PRIVATE $<$<C_COMPILER_ID:GNU,Clang,AppleClang,ARMClang>:{FLOAT_FLAG}>)

install(TARGETS {p} EXPORT {p}Targets ARCHIVE DESTINATION ${{CMAKE_INSTALL_LIBDIR}})
install(FILES {p}.h DESTINATION ${{CMAKE_INSTALL_INCLUDEDIR}}/{p})
install(DIRECTORY runtime/include/edgebit DESTINATION ${{CMAKE_INSTALL_INCLUDEDIR}}/{p} FILES_MATCHING PATTERN "*.h")
install(EXPORT {p}Targets NAMESPACE {p}:: DESTINATION ${{CMAKE_INSTALL_LIBDIR}}/cmake/{p})
write_basic_package_version_file(${{CMAKE_CURRENT_BINARY_DIR}}/{p}ConfigVersion.cmake COMPATIBILITY ExactVersion)
install(FILES cmake/{p}Config.cmake ${{CMAKE_CURRENT_BINARY_DIR}}/{p}ConfigVersion.cmake
  DESTINATION ${{CMAKE_INSTALL_LIBDIR}}/cmake/{p})

# A golden vector, compared byte by byte: ctest runs it, where this build's programs run.
include(CTest)
if(BUILD_TESTING AND CMAKE_PROJECT_NAME STREQUAL "{p}")
  add_library({p}_check OBJECT check/{p}_check.c)
  target_link_libraries({p}_check PRIVATE {p})
  if(NOT CMAKE_SYSTEM_NAME STREQUAL "Generic")
    file(WRITE ${{CMAKE_CURRENT_BINARY_DIR}}/main.c "int {p}_check(void);\nint main(void) {{ return {p}_check(); }}\n")
    add_executable({p}_golden ${{CMAKE_CURRENT_BINARY_DIR}}/main.c $<TARGET_OBJECTS:{p}_check>)
    target_link_libraries({p}_golden PRIVATE {p})
    add_test(NAME {p}_golden COMMAND {p}_golden)
  endif()
endif()
"""


def config(export: Export) -> str:
    """What find_package reads."""
    return f"""# SPDX-License-Identifier: Apache-2.0
include("${{CMAKE_CURRENT_LIST_DIR}}/{export.name}Targets.cmake")
"""


def toolchain(core: Core) -> str:
    """A toolchain file for GCC, with the CPU flags the kernels were chosen for."""
    generic = core.is_cortex_m
    prefix, flags = core.gcc.get("prefix", ""), " ".join(core.gcc.get("flags", ()))
    tried = (
        "set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # there is no start-up code to link with\n"
        if generic
        else ""
    )
    return f"""# SPDX-License-Identifier: Apache-2.0
# {core.title} with GCC: cmake -DCMAKE_TOOLCHAIN_FILE=.../toolchain-{core.name}.cmake
set(CMAKE_SYSTEM_NAME {"Generic" if generic else "Linux"})
set(CMAKE_SYSTEM_PROCESSOR {core.name})
set(CMAKE_C_COMPILER {prefix}gcc)
set(CMAKE_C_FLAGS_INIT "{flags}")
set(CMAKE_BUILD_TYPE Release CACHE STRING "")
{tried}"""
