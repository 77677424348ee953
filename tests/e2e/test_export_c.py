"""The exported C: clean under every compiler, exact under sanitizers, deterministic, free of the model's names."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebit.board import resolve_target
from edgebit.core import load_core
from edgebit.errors import FitError
from edgebit.ir import Affine, DType, Graph, Node, Tensor, TernaryWeights, graph_from_bytes
from edgebit.ir.graph import Array
from edgebit.ops.base import execute, infer_all, registry
from edgebit.plan.plan import make_plan

pipeline: Any = importlib.import_module("edgebit.exporters.pipeline")

WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-ffp-contract=off")
EVIL = 'x*/ \\\n#error "%s?\x00/'
SAMPLES_PER_OP = 2


def hand_made() -> tuple[Graph, list[dict[str, Array]]]:
    """Two dense layers whose names try to get out of comments, strings and identifiers."""
    rng = np.random.default_rng(5)
    g = Graph(EVIL)
    g.tensors[EVIL] = Tensor(EVIL, (1, 20))
    g.inputs = [EVIL]
    g.consts["w"] = TernaryWeights(
        rng.integers(-1, 2, (12, 20)).astype(np.int8), np.full(12, 0.5, np.float32)
    )
    g.consts["v"] = rng.standard_normal((5, 12)).astype(np.float32)
    first = Affine(
        scale=np.full(12, 0.5, np.float32), bias=rng.standard_normal(12).astype(np.float32), lo=0.0
    )
    second = Affine(bias=rng.standard_normal(5).astype(np.float32))
    g.nodes = [
        Node("dense", "int", [EVIL, "w"], ["int main"], {"epilogue": first}),
        Node("dense", EVIL, ["int main", "v"], ["/*y"], {"epilogue": second}),
    ]
    g.outputs = ["/*y"]
    infer_all(g)
    g.check()
    return g, [{EVIL: rng.standard_normal((1, 20)).astype(np.float32)} for _ in range(2)]


def write(g: Graph, vectors: list[dict[str, Array]], out: Path, target: str, name: str = "hand made") -> Path:
    """Export for a board, or for the host's bare core ("library")."""
    core, board = (load_core("host"), None) if target == "library" else resolve_target(target)
    meta = pipeline.ExportMeta(name=name, target=target, source_name=f"{EVIL}.onnx", source_sha256="0" * 64)
    return Path(pipeline.export_model(make_plan(g, core, board), vectors, out, meta=meta))


@dataclass
class Case:
    folder: Path
    manifest: dict[str, Any]
    graph: Graph
    inputs: dict[str, Array]

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def finite(self) -> bool:
        """Whether the model accepts its inputs."""
        return all(
            bool(np.isfinite(self.inputs[i]).all())
            for i in self.graph.inputs
            if self.graph.tensors[i].dtype is DType.F32
        )


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Exports for a bare core: random samples of every op, and the hand-made graph."""
    root = tmp_path_factory.mktemp("exports")
    work: list[tuple[str, Graph, dict[str, Array]]] = []
    for op in sorted(registry()):
        rng = np.random.default_rng(zlib.crc32(op.encode()))
        for n in range(SAMPLES_PER_OP):
            s = registry()[op].samples(rng)
            if s is not None:
                work.append((f"{op}-{n}", s.graph, s.inputs))
    g, vectors = hand_made()
    work.append(("hand made", g, vectors[0]))
    made = []
    for name, graph, inputs in work:
        folder = write(graph, [inputs], root / name, "library", name)
        made.append(Case(folder, json.loads((folder / "edgebit.json").read_text()), graph, inputs))
    return made


HELPERS = """
static uint32_t crc32(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) {
            crc = crc & 1u ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        }
    }
    return ~crc;
}
static uint32_t crcs[64];
void eb_trace(uint32_t layer, const void *data, uint32_t bytes) { crcs[layer] = crc32(crcs[layer], data, bytes); }
static unsigned char *block(size_t n) {
    unsigned char *p = aligned_alloc(16, (n + 31) / 16 * 16);
    if (p == NULL) { abort(); }
    memset(p, 0xA5, (n + 31) / 16 * 16);
    return p;
}
"""


def main_c(cases: list[Case]) -> str:
    """A program that runs every model once and prints one line each: status, layer CRCs, segment CRCs, outputs."""
    out = ["#include <inttypes.h>", "#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>"]
    out += [f'#include "{c.name}.h"' for c in cases]
    out += ["int main(int argc, char **argv);", HELPERS]
    for c in cases:
        p, big = c.name, c.name.upper()
        out += [
            f"static void run_{p}(FILE *in) {{",
            f"    unsigned char *arena = block({big}_ARENA_BYTES);",
            f"    {p}_ctx ctx;",
            "    memset(&ctx, 0x5A, sizeof ctx);",
            f"    if ({p}_run(&ctx) != EB_ERR_NOT_INITIALISED || {p}_reset(&ctx) != EB_ERR_NOT_INITIALISED ||",
            f"        {p}_input_0(&ctx) != NULL || {p}_output_0(&ctx) != NULL || {p}_run(NULL) != EB_ERR_NULL ||",
            f"        {p}_init(NULL, NULL, 0, arena, {big}_ARENA_BYTES) != EB_ERR_NULL ||",
            f"        {p}_init(&ctx, NULL, 0, NULL, {big}_ARENA_BYTES) != EB_ERR_NULL ||",
            f"        {p}_init(&ctx, NULL, 0, arena, {big}_ARENA_BYTES - 1) != EB_ERR_ARENA_SIZE ||",
            f"        {p}_init(&ctx, NULL, 0, arena + 8, {big}_ARENA_BYTES) != EB_ERR_ALIGN ||",
            f"        {p}_init(&ctx, NULL, 0, arena, {big}_ARENA_BYTES) != EB_OK) {{",
            "        abort();",
            "    }",
        ]
        for k in range(len(c.graph.inputs)):
            out.append(
                f"    if (fread({p}_input_{k}(&ctx), 1, {big}_INPUT_{k}_BYTES, in) != {big}_INPUT_{k}_BYTES) {{ abort(); }}"
            )
        out += [
            "    memset(crcs, 0, sizeof crcs);",
            f"    eb_status status = {p}_run(&ctx);",
            '    printf("%d", (int)status);',
            f'    for (size_t i = 0; i < {big}_LAYERS; i++) {{ printf(" %" PRIu32, crcs[i]); }}',
            f"    for (size_t i = 0; i < {big}_SEGMENTS; i++) {{",
            f"        const eb_segment *s = &{p}_segments[i];",
            '        printf(" %" PRIu32 ":%" PRIu32, s->layer, crc32(0, s->p, s->bytes));',
            "    }",
        ]
        for k in range(len(c.graph.outputs)):
            out += [
                f"    const unsigned char *y{k} = (const void *){p}_output_{k}(&ctx);",
                '    printf(" ");',
                f'    for (size_t i = 0; i < {big}_OUTPUT_{k}_BYTES; i++) {{ printf("%02x", y{k}[i]); }}',
            ]
        out += ['    printf("\\n");', "    free(arena);", "}"]
    out += ["int main(int argc, char **argv) {", '    FILE *in = argc == 2 ? fopen(argv[1], "rb") : NULL;']
    out += ["    if (in == NULL) { return 1; }", *(f"    run_{c.name}(in);" for c in cases)]
    out += ["    fclose(in);", "    return fflush(stdout) != 0;", "}", ""]
    return "\n".join(out)


@pytest.fixture(scope="module")
def tree(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All exports in one folder, as someone would who needs many models in one image."""
    root = tmp_path_factory.mktemp("tree")
    for c in cases:
        shutil.copytree(c.folder / "runtime", root / "runtime", dirs_exist_ok=True)
        for path in c.folder.glob("*.[ch]"):
            shutil.copy(path, root)
    (root / "main.c").write_text(main_c(cases))
    return root


INCLUDES = ("-I.", "-Iruntime/include", "-Iruntime/kernels")


def sources(tree: Path) -> list[str]:
    return sorted(str(p.relative_to(tree)) for p in tree.rglob("*.c"))


def check(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def need(tool: str) -> str:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; this check was not done")
    return tool


@pytest.mark.parametrize("trace", [(), ("-DEB_TRACE",)], ids=["plain", "traced"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_compiler_has_anything_to_say(compiler: str, trace: tuple[str, ...], tree: Path) -> None:
    files = [s for s in sources(tree) if s != "main.c"]
    check([need(compiler), *WARNINGS, *trace, "-Wpedantic", "-fsyntax-only", *INCLUDES, *files], tree)


def test_all_models_in_one_image_are_exact_under_sanitizers(tree: Path, cases: list[Case]) -> None:
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g0", "-DEB_TRACE"]
    sanitize.append("-Wno-type-limits")  # main.c loops over tables that may be empty
    check([need("gcc"), *WARNINGS, *sanitize, *INCLUDES, *sources(tree), "-o", "all"], tree)
    data = b"".join(np.ascontiguousarray(c.inputs[i]).tobytes() for c in cases for i in c.graph.inputs)
    (tree / "inputs.bin").write_bytes(data)
    lines = check(["./all", "inputs.bin"], tree).splitlines()
    assert len(lines) == len(cases)
    ran = 0
    for c, line in zip(cases, lines, strict=True):
        status, *rest = line.split(" ")
        layers, segments = len(c.graph.nodes), len(c.manifest["weight_crcs"])
        crcs, parts, outputs = rest[:layers], rest[layers : layers + segments], rest[layers + segments :]
        assert [[int(n) for n in p.split(":")] for p in parts] == c.manifest["weight_crcs"], c.name
        assert int(status) == (0 if c.finite else -6), c.name
        if not c.finite:
            continue
        ran += 1
        assert [int(n) for n in crcs] == c.manifest["vectors"]["layer_crcs"][0], c.name
        values = execute(c.graph, c.inputs)
        assert outputs == [np.ascontiguousarray(values[o]).tobytes().hex() for o in c.graph.outputs], c.name
    assert ran > len(registry())


def test_headers_are_fit_for_cxx(tree: Path, cases: list[Case]) -> None:
    need("g++")
    body = "".join(f'#include "{c.name}.h"\n' for c in cases)
    use = (
        "int main() { hand_made_ctx c; return hand_made_init(&c, nullptr, 0, nullptr, 0) == EB_ERR_NULL; }\n"
    )
    (tree / "use.cpp").write_text(body + use)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wpedantic"]
    check(["g++", *flags, "-fsyntax-only", *INCLUDES, "use.cpp"], tree)


def test_objects_hold_no_heap_no_io_and_no_mutable_data(tree: Path) -> None:
    need("gcc")
    need("nm")
    files = [s for s in sources(tree) if s != "main.c"]
    folder = tree / "objects"
    folder.mkdir(exist_ok=True)
    includes = [f"-I{tree / i[2:]}" for i in INCLUDES]
    check(
        ["gcc", "-std=c11", "-O2", "-fno-pic", "-fno-pie", "-c", *includes, *(str(tree / s) for s in files)],
        folder,
    )
    listing = check(["nm", *sorted(p.name for p in folder.glob("*.o"))], folder)
    symbols = [m.groups() for m in re.finditer(r"^[0-9a-f ]{16} (\w) (\S+)$", listing, re.MULTILINE)]
    assert not [s for s in symbols if s[0] in "bBdDcC"]
    defined = {name for kind, name in symbols if kind != "U"}
    wanted = {name for kind, name in symbols if kind == "U"} - defined - {"_GLOBAL_OFFSET_TABLE_"}
    assert wanted <= {"memcpy", "memset", "memmove", "memcmp", "sqrtf"}
    strangers = {n for k, n in symbols if k in "TR"} - {n for n in defined if n.startswith("eb_")}
    assert strangers
    names = {re.sub(r"_(l\d+_\w+|init|reset|run|(in|out)put_\d+|segments)$", "", n) for n in strangers}
    assert names <= {p.stem for p in tree.glob("*.h")}


def test_names_of_the_model_file_stay_out_of_the_code(cases: list[Case]) -> None:
    c = next(c for c in cases if c.name == "hand_made")
    for path in c.folder.rglob("*.[ch]"):
        text = path.read_text()
        assert EVIL not in text
        assert not re.search(r'^\s*#\s*error "%', text, re.MULTILINE)
        assert "\\\n" not in text or path.parent.name != c.folder.name
    assert graph_from_bytes((c.folder / "hand_made.graph").read_bytes()).name == EVIL


def tree_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    g, vectors = hand_made()
    one = tree_bytes(write(g, vectors, tmp_path / "a" / "one", "pico"))
    two = tree_bytes(write(g, vectors, tmp_path / "two", "pico"))
    assert one == two
    assert not [n for n, data in one.items() if str(tmp_path).encode() in data]
    script = (
        "import importlib.util, sys; s = importlib.util.spec_from_file_location('t', sys.argv[1]);"
        "t = importlib.util.module_from_spec(s); sys.modules['t'] = t; s.loader.exec_module(t);"
        "from pathlib import Path; t.write(*t.hand_made(), Path(sys.argv[2]), 'pico')"
    )
    subprocess.run([sys.executable, "-c", script, __file__, str(tmp_path / "three")], check=True)
    assert tree_bytes(tmp_path / "three") == one


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("Tiny-2 net", "tiny_2_net"),
        ("", "m"),
        ("7seg", "m_7seg"),
        ("..\\..", "m"),
        ("string", "m_string"),
        ("eb", "m_eb"),
        ("eb_trace", "m_eb_trace"),
        ("__x__y", "x_y"),
        ("é" * 9, "m"),
        ("a" * 99, "a" * 40),
    ],
)
def test_a_model_name_becomes_a_prefix_that_clashes_with_nothing(name: str, prefix: str) -> None:
    ctext: Any = importlib.import_module("edgebit.exporters.ctext")
    assert ctext.model_prefix(name) == prefix


@pytest.mark.parametrize("text", [EVIL, "/*", "//", "/\\/", "//*", "a\\", "??/", "*/", "é\u2028"])
def test_any_text_can_stand_in_a_comment(text: str, tmp_path: Path) -> None:
    ctext: Any = importlib.import_module("edgebit.exporters.ctext")
    (tmp_path / "t.c").write_text(f"// {ctext.comment(text)}\nint good;\n")
    check([need("gcc"), *WARNINGS, "-fsyntax-only", "t.c"], tmp_path)
    assert "good" in check(["gcc", "-std=c11", "-E", "t.c"], tmp_path)


def test_the_manifest_lists_the_folder_and_its_arrays(cases: list[Case]) -> None:
    for c in cases:
        assert c.manifest["files"] == sorted(tree_bytes(c.folder))
        assert c.manifest["build"] is None
        with np.load(c.folder / f"{c.name}_vectors.npz", allow_pickle=False) as z:
            for k, i in enumerate(c.graph.inputs):
                assert z[f"in{k}"][0].tobytes() == c.inputs[i].tobytes()


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    g = Graph("large")
    g.tensors["x"] = Tensor("x", (1, 1000))
    g.inputs, g.outputs = ["x"], ["y"]
    g.consts["w"] = np.ones((1000, 1000), np.float32)
    g.nodes = [Node("dense", "fc", ["x", "w"], ["y"], {"epilogue": Affine()})]
    infer_all(g)
    with pytest.raises(FitError, match="weights of fc"):
        write(g, [{"x": np.ones((1, 1000), np.float32)}], tmp_path / "out", "pico")
    assert not list(tmp_path.iterdir())
