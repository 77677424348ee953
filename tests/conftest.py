"""Shared fixtures: the command line called in-process, and the shared models when they are there."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

settings.register_profile("busy machines", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machines")


class Ran:
    """What one command line did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        data = json.loads(self.out)
        assert isinstance(data, dict)
        return data


@pytest.fixture(scope="session")
def edgebit() -> Callable[..., Ran]:
    """Run an edgebit command line; `code` is the exit code it must have (None: any)."""
    from edgebit.cli import run

    def call(*args: object, code: int | None = 0) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            got = run([str(a) for a in args])
        if code is not None:
            assert got == code, (
                f"edgebit {' '.join(map(str, args))} exited {got}\n{out.getvalue()}\n{err.getvalue()}"
            )
        return Ran(got, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared models, or a skip."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared models are not here ({SHARED.name}/ beside the project)")
    return SHARED


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory, edgebit: Callable[..., Ran]) -> Callable[[str], Path]:
    """Exports of the digits example by target, made once a session."""
    root = tmp_path_factory.mktemp("digits")
    made: dict[str, Path] = {}

    def get(target: str) -> Path:
        if target not in made:
            made[target] = root / f"digits-{target}"
            example = ROOT / "examples" / "digits"
            edgebit(
                "export",
                example / "digits.onnx",
                "--target",
                target,
                "--vectors",
                example / "test.npz",
                "--limit",
                3,
                "--out",
                made[target],
                "--json",
            )
        return made[target]

    return get


def tree_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


__all__: Sequence[str] = ()


SLOW = (
    # language models
    r"test_shakespeare.py::test_one_certificate",
    r"test_docs.py::test_commands_of_a_page_run\[microcontroller-language-models",
    r"test_flash_language_model.py",
    r"test_chat_c.py::test_no_input_leads_astray",
    r"test_chat.py::test_a_template_that_shows_answers_another_way",
    r"test_decoder_pico.py::test_scales_of_groups\S*\[mps2",
    r"test_decoder_gguf.py::test_transformers_reads_the_same_model",
    r"test_decoder_oracle.py::test_(greedy|\S*\[\S*(shipped|masters|all))",
    r"test_decoder_floats.py::test_trained_models\[\S*all",
    r"test_decoder_peak.py",
    r"test_ssh_chatter.py::test_a_language_model",
    r"test_decoder_boards.py::test_every_logit_far_into_the_context",
    r"test_decoder_gcc.py::test_gcc_keeps_the_certificate\[rpi4",
    r"test_decoder_pico.py::test_(scales_of_groups|tokens_are_drawn|bench_counts)",
    r"test_decoder_memory.py::test_2b_4t_as_gguf",
    r"test_docs.py::test_commands_of_a_page_run\[language-models-speed",
    r"test_decoder_boards.py::test_(the_certificate_is_the_hosts\[rpi4|four_bit_heads)",
    r"test_decoder_c.py::test_every_logit_is_the_references\[(qwen|rows|llama|groups|float|bands|four)",
    r"test_decoder_oracle.py::test_perplexity_is_the_oracles\S*(f16|f32)",
    r"test_decoder_memory.py::test_floats_that_are_ternary_take_no_more",
    r"test_rowdots_kernels.py::test_(on_aarch64|a_planted_fault)",
    r"test_soft_products.py::test_the_assembly",
    r"test_text_unicode.py::test_(classes_are_those|every_character_between|normalisation_is)",
    r"test_text_families.py::test_a_long_run\S*(gpt2|sentencepiece|llama|qwen)",
    r"test_text_chat.py::test_prompts_are_those_of_the_library\[(llama3|qwen)",
    r"test_text_on_arm.py",
    # kernels
    r"test_group_kernels.py::test_(a_planted_bug|the_kernels_of_this_machine)",
    r"test_float_kernels.py::test_a_planted_bug_is_found",
    r"test_helium_kernels.py::test_a_planted_bug_is_found\[(digits4-(ro|sh|st)|digits7-[sf][to]|tokens)",
    r"test_kernel_tester.py::test_every_variant\S*\[cortex-(a7|m3|m7)",
    r"test_kernel_tester.py::test_a_planted_bug_is_found\[cortex-(a76|m0plus)",
    r"test_kernel_tester.py::test_another_emulator_agrees_on_linux\[cortex-a7-",
    r"test_kernel_tester.py::test_the_widest_legal_matrix\[cortex-(a76|m0plus)",
    r"test_linear_kernels.py::test_random_layers(_optimised|\[dense)",
    r"test_simd_kernels.py::test_the_tester_at_full_width",
    r"test_simd_kernels.py::test_kernels_equal_numpy\[(host|cortex-a(7|53|72))\]",
    r"test_kernel_tester.py::test_another_emulator_agrees_on_linux\[cortex-a76",
    r"test_group_kernels.py::test_the_kernels_of_a_board\[(mps|pico|rpi[345])",
    r"test_float_functions_on_cores.py::test_float_functions\[cortex-a7-",
    r"test_simd_costs.py::test_predicted_instructions\S*\[(rpi4|rpi-zero)",
    r"test_rowdots_kernels.py::test_on_this_machine",
    r"test_strip_kernels.py::test_layers_by_the_reference_equal_numpy",
    r"test_strip_kernels.py::test_layers_on_boards_equal_numpy\[mps2",
    r"test_predicted_costs.py::test_prices_of_mlperf_tiny_networks\[net-(vww|ic)",
    r"test_predicted_costs.py::\S*on_linux\[net-(kws|ic|ad|vww-rpi[34])",
    r"test_predicted_costs.py::test_prices_of_lists_and_lookups\[\S*(teensy|pico2|mps2)",
    r"test_cost_model.py::test_predicted_costs_agree_with_counted_ones\[(pico2|mps2)",
    r"test_predicted_sizes.py::test_the_account\S*\[(net-ic|gesture\S*gcc)",
    r"test_bench_kernels.py::test_a_network_is_measured_whole",
    # boards
    r"test_board_folders.py::test_board_computes\S*\[(?!pico-(zig|gcc)|nucleo-f446re|rpi5)",
    r"test_board_folders.py::test_port_of_a_board\S*\[(nucleo-[lu]|stm32|arduino|nrf|mps2|pico-w|microbit-v2)",
    r"test_build.py::test_firmware_lies_in_the_memories_of_its_board\[(pico2|mps2)",
    r"test_export_c.py::test_no_compiler_has_anything_to_say\[(gcc|clang-traced)",
    r"test_spine.py::test_every_shared_model\S*\[(?!d_ternary_qcdq)",
    r"test_spine.py::test_examples_run_on_every_core\S*\[(gesture-(?!pico)|\S*-(rpi3|rpi-zero|linux|mps2-an500|mps2-an505|teensy))",
    r"test_spine.py::test_mnist_is_bit_exact_on_boards\[pico",
    r"test_build.py::test_a_board_gets_a_named_and_measured_program\[(pico2|mps2|nucleo)",
    r"test_flash_probes.py::test_teensy",
    r"test_flash_fat.py::test_a_drive_that_vanishes_mid_write",
    r"test_platformio_stock.py::test_the_other_boards_are_no_different",
    r"test_platformio.py::test_(edgebit_drives_it|pio_builds_uploads_and_verifies\[nrf52840-dk\])",
)
"""Tests (regular expressions of their names) that take long and whose like the suite runs anyway: `make test-all`
runs them too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("EDGEBIT_ALL_TESTS"):
        return
    slow = re.compile("|".join(SLOW))
    for item in items:
        if slow.search(item.nodeid):
            item.add_marker(pytest.mark.skip(reason="slow: make test-all runs it"))
