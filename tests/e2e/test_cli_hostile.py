"""The command line in clumsy and in hostile hands: one sentence, the right exit code, nobody's files lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Cli = Callable[..., Any]
COMMAND = [sys.executable, "-c", "from edgebit.cli import main; main()"]


def save_model(path: Path, *, batch: int | str = 1, outputs: bool = False) -> Path:
    """A small ternary model: one dense layer, with `outputs` an ArgMax beside it."""
    rng = np.random.default_rng(3)
    w = (rng.integers(-1, 2, (8, 16)) * 0.5).astype(np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)]
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 8])]
    if outputs:
        nodes.append(helper.make_node("ArgMax", ["y"], ["z"], axis=1, keepdims=0))
        made.append(helper.make_tensor_value_info("z", TensorProto.INT64, [batch]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 16])
    graph = helper.make_graph(nodes, "g", [x], made, [numpy_helper.from_array(w, "w")])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, edgebit: Cli) -> Path:
    """A folder with model.onnx, its export for the Pico `e`, and e.build."""
    root = tmp_path_factory.mktemp("made")
    model = save_model(root / "model.onnx")
    edgebit("export", model, "-t", "pico", "-o", root / "e", "--json")
    edgebit("build", root / "e", "--json")
    return root


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private copy of `made`, and the current folder."""
    shutil.copytree(made, tmp_path / "h")
    monkeypatch.chdir(tmp_path / "h")
    return tmp_path / "h"


def failure(edgebit: Cli, *args: object, code: int) -> str:
    """The error of a command line that must fail so: one JSON object on stdout, and no traceback anywhere."""
    ran = edgebit(*args, "--json", code=code)
    assert ran.json["exit_code"] == code
    assert "Traceback" not in ran.err
    return str(ran.json["error"])


# Where to write


@pytest.mark.parametrize("out", ["user", ".", "..", "/", "model.onnx", "/dev/null", "dangling", "loop", ""])
def test_what_is_not_ours_is_not_replaced(here: Path, edgebit: Cli, out: str) -> None:
    (here / "user").mkdir()
    (here / "user" / "thesis.tex").write_text("years of work")
    (here / "dangling").symlink_to("nowhere")
    (here / "loop").symlink_to("loop")
    before = sorted(here.rglob("*"))
    failure(edgebit, "export", "model.onnx", "-t", "pico", "-o", out, code=2)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("manifest", ["{}", "{", '{"files": 7}', None])
def test_files_added_to_an_export_are_not_lost(here: Path, edgebit: Cli, manifest: str | None) -> None:
    (here / "e" / "notes.txt").write_text("mine")
    if manifest is not None:
        (here / "e" / "edgebit.json").write_text(manifest)
    assert "notes.txt" in failure(edgebit, "export", "model.onnx", "-t", "pico", "-o", "e", code=2)
    assert (here / "e" / "notes.txt").read_text() == "mine"
    (here / "e" / "notes.txt").unlink()
    edgebit("export", "model.onnx", "-t", "pico", "-o", "e", "--json")


def test_files_added_to_a_build_are_not_lost(here: Path, edgebit: Cli) -> None:
    (here / "e.build" / "notes.txt").write_text("mine")
    (here / "e.build" / "build.json").unlink()
    assert "notes.txt" in failure(edgebit, "build", "e", code=2)
    assert (here / "e.build" / "notes.txt").exists()


def test_an_export_goes_where_a_link_leads(here: Path, edgebit: Cli) -> None:
    (here / "link").symlink_to("e")
    edgebit("export", "model.onnx", "-t", "pico", "-o", "link", "--json")
    assert (here / "link").is_symlink()


@pytest.mark.parametrize("out", ["model.onnx/x", "/proc/none/x", "n" * 300])
def test_what_cannot_be_written_is_exit_11(here: Path, edgebit: Cli, out: str) -> None:
    assert "cannot write" in failure(edgebit, "export", "model.onnx", "-t", "pico", "-o", out, code=11)


def test_the_folder_one_is_in_can_be_verified_but_not_replaced(
    here: Path, edgebit: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here / "e")
    edgebit("verify", ".", "--emulate", "--json")
    assert "folder you are in" in failure(edgebit, "export", "../model.onnx", "-t", "pico", "-o", ".", code=2)


def test_runs_at_the_same_time_leave_one_whole_export(here: Path, edgebit: Cli) -> None:
    command = [*COMMAND, "export", "model.onnx", "-t", "pico", "-o", "same", "--json"]
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [r.wait() for r in runs] == [0, 0]
    edgebit("verify", "same", "--emulate", "--json")
    assert not [p.name for p in here.iterdir() if p.name.startswith(".")]


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_130_and_leaves_nothing(
    here: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler is made to wait, so that the signal comes while the build folder is being filled."""
    stub = here / "stub" / "ziglang"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("")
    (stub / "__main__.py").write_text("print('up', file=open('../up', 'w')); import time; time.sleep(30)")
    shutil.rmtree(here / "e.build")
    monkeypatch.setenv("PYTHONPATH", str(here / "stub"))
    run = subprocess.Popen(
        [*COMMAND, "build", "e", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (here / "up").exists():
        assert run.poll() is None, run.communicate()
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 130
    assert json.loads(out) == {"error": "interrupted", "exit_code": 130}
    assert "Traceback" not in err
    assert sorted(p.name for p in here.iterdir()) == ["e", "model.onnx", "stub", "up"]


# What is read


def test_forged_manifests_are_exit_3(here: Path, edgebit: Cli) -> None:
    path = here / "e" / "edgebit.json"
    good = json.loads(path.read_text())
    forged: list[tuple[tuple[str | int, ...], object]] = [
        (("name",), "../../etc/passwd"),
        (("core",), "../x"),
        (("board",), ["pico"]),
        (("certificate",), "0" * 64),
        (("model_id",), "0" * 64),
        (("layers",), []),
        (("layers", 0, "macs"), "many"),
        (("weight_crcs",), [[999, 1]]),
        (("vectors", "count"), 10**12),
        (("vectors", "count"), -1),
        (("vectors", "layer_crcs"), [[]]),
        (("arena_bytes",), -5),
    ]
    for keys, value in forged:
        bad = json.loads(json.dumps(good))
        at = bad
        for k in keys[:-1]:
            at = at[k]
        at[keys[-1]] = value
        path.write_text(json.dumps(bad))
        assert edgebit("verify", "e", "--emulate", "--json", code=None).code in (2, 3, 7), keys
    for raw in (b"", b"[]", b"\xff", b"[" * 100_000):
        path.write_bytes(raw)
        failure(edgebit, "verify", "e", "--emulate", code=3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sources", ["../outside.c"]),
        ("sources", ["-fplugin=x.so"]),
        ("sources", ["@args"]),
        ("sources", [7]),
        ("sources", "app"),
        ("includes", ["/"]),
        ("defines", ["X -o /tmp/x"]),
        ("entry", "main,-o,/tmp/x"),
        ("script", "/etc/passwd"),
        ("boot2", "a b"),
        ("uf2_family", -1),
    ],
)
def test_nothing_in_a_manifest_becomes_an_option(here: Path, edgebit: Cli, key: str, value: object) -> None:
    path = here / "e" / "edgebit.json"
    manifest = json.loads(path.read_text())
    manifest["build"][key] = value
    (here / "e" / "-fplugin=x.so").write_text("")
    (here / "e" / "@args").write_text("")
    path.write_text(json.dumps(manifest))
    assert "how to build" in failure(edgebit, "build", "e", code=3)


@pytest.mark.parametrize(
    "name", ["edgebit.json", "model.graph", "model_vectors.npz", "model.c", "app/main.c"]
)
def test_damaged_exports_are_told_from_bugs(here: Path, edgebit: Cli, name: str) -> None:
    path = here / "e" / name
    raw = path.read_bytes()
    for data in (b"", raw[: len(raw) // 2]):
        path.write_bytes(data)
        assert edgebit("verify", "e", "--emulate", "--json", code=None).code in (3, 5)
    path.unlink()
    failure(edgebit, "verify", "e", "--emulate", code=3)
    path.mkdir()
    failure(edgebit, "verify", "e", "--emulate", code=3)


def test_a_missing_image_is_built_again_and_a_damaged_one_is_named(here: Path, edgebit: Cli) -> None:
    image = here / "e.build" / "firmware.bin"
    image.unlink()
    edgebit("verify", "e", "--emulate", "--json")
    image.write_bytes(b"")
    assert "firmware.bin changed since it was built" in failure(edgebit, "verify", "e", "--emulate", code=10)


def _declares(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


class _Evil:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("pwned",))


def hostile_vectors(folder: Path) -> Iterator[Path]:
    x = np.ones((2, 16), np.float32)
    arrays: dict[str, Any] = {
        "nan": x * np.float32("nan"),
        "beyond": x.astype(np.float64) * 1e300,
        "none": x[:0],
        "wrong": x[:, :3],
        "complex": x.astype(np.complex64),
        "pickle": np.array([_Evil()], dtype=object),
    }
    for name, a in arrays.items():
        np.savez(folder / f"{name}.npz", x=a)
    for k, shape in enumerate(("(1000000000000,)", "(-1,)", "(9223372036854775807, 9223372036854775807)")):
        with zipfile.ZipFile(folder / f"shape{k}.npz", "w") as z:
            z.writestr("x.npy", _declares(shape))
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as z, z.open("x.npy", "w") as f:
        f.write(_declares(f"({1 << 25}, 16)"))
        f.write(bytes(1 << 20))
    np.save(folder / "array.npy", x)
    (folder / "array.npy").rename(folder / "array.npz")
    (folder / "empty.npz").write_bytes(b"")
    (folder / "folder.npz").mkdir()
    yield from sorted(folder.glob("*.npz"))
    yield folder / "absent.npz"


def test_hostile_vectors_are_exit_3(here: Path, edgebit: Cli, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for path in hostile_vectors(tmp_path / "v"):
        failure(edgebit, "export", "model.onnx", "-t", "host", "-o", "x", "--vectors", path, code=3)
        failure(edgebit, "verify", "e", "--emulate", "--vectors", path, code=3)
    assert not (here / "x").exists()
    assert not (here / "pwned").exists()


def test_the_certificate_is_that_of_the_vectors_run(here: Path, edgebit: Cli) -> None:
    whole = edgebit("verify", "e", "--emulate", "--json").json["certificate"]
    assert whole == json.loads((here / "e" / "edgebit.json").read_text())["certificate"]
    assert edgebit("verify", "e", "--emulate", "--limit", 1, "--json").json["certificate"] != whole


# Names


@pytest.mark.parametrize("name", ["con", "app_model", "it's $(x);", "x" * 200])
def test_any_file_name_gives_c_that_builds(
    edgebit: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = save_model(tmp_path / "in" / f"{name}.onnx")
    path = edgebit("export", model, "-t", "pico", "--json").json["path"]
    edgebit("build", path, "--json")


def test_brackets_in_a_path_are_not_markup(here: Path, edgebit: Cli) -> None:
    out = "a[/b] [red]x"
    assert out in edgebit("export", "model.onnx", "-t", "pico", "-o", out).out
    edgebit("verify", out, "--emulate")


# Ports and pipes


def test_a_server_that_talks_nonsense_is_exit_10(here: Path, edgebit: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"\xffnonsense\0" * 100)

        threading.Thread(target=serve, daemon=True).start()
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        failure(edgebit, "verify", "e", "--port", port, code=10)


def test_a_port_that_is_none_is_exit_8(here: Path, edgebit: Cli) -> None:
    for port in ("/dev/none", "/dev/null", "model.onnx", "socket://127.0.0.1:1"):
        failure(edgebit, "verify", "e", "--port", port, code=8)


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(
    ("line", "code"),
    [("--help | true", 0), ("boards | true", 0), ("boards --json >&-", 0), ("boards --json > /dev/full", 11)],
)
def test_an_output_nobody_takes_is_no_traceback(line: str, code: int) -> None:
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full; a full disk was not tried")
    words, _, rest = (
        line.partition(" ") if "|" not in line else (line.split("|")[0], "", "|" + line.split("|")[1])
    )
    quoted = f"'{COMMAND[0]}' -c '{COMMAND[2]}' {words} {rest}"
    done = subprocess.run(
        ["bash", "-c", quoted + '; exit "${PIPESTATUS[0]}"'], capture_output=True, text=True
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


# Usage


def test_a_dry_run_needs_no_board_and_writes_nothing(
    here: Path, edgebit: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBIT_VOLUMES", "")
    shutil.rmtree(here / "e.build")
    steps = edgebit("flash", "e", "--dry-run", "--json").json["steps"]
    assert steps[0].startswith("build")
    assert any("BOOTSEL" in s for s in steps)
    assert not (here / "e.build").exists()
    failure(edgebit, "flash", "e", code=6)


@pytest.mark.parametrize(
    "args",
    [
        ("--limit", 10**10),
        ("--calibration", "x.npz"),
        ("--activations", "int8-static"),
        ("--batch", 0),
        ("--optimize", "bogus"),
    ],
)
def test_bad_usage_is_exit_2(here: Path, edgebit: Cli, args: tuple[object, ...]) -> None:
    failure(edgebit, "export", "model.onnx", "-t", "host", "-o", "x", *args, code=2)
    assert not (here / "x").exists()


def test_a_cache_that_cannot_be_written_is_said(
    here: Path, edgebit: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(here / "e.build")
    monkeypatch.setenv("EDGEBIT_CACHE", str(here / "model.onnx" / "cache"))
    assert "EDGEBIT_CACHE" in failure(edgebit, "build", "e", code=11)
    assert not (here / "e.build").exists()
    failure(edgebit, "doctor", code=5)


@pytest.mark.parametrize("target", ["host", "pico"])
def test_batches_and_integer_outputs_run_end_to_end(edgebit: Cli, tmp_path: Path, target: str) -> None:
    model = save_model(tmp_path / "m.onnx", batch="N", outputs=True)
    edgebit("export", model, "-t", target, "-o", tmp_path / "o", "--batch", 3, "--json")
    emulate = [] if target == "host" else ["--emulate"]
    assert edgebit("verify", tmp_path / "o", *emulate, "--json").json["bit_exact"] is True
