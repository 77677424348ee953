"""ssh flashing against a real OpenSSH server on this machine; see pi.py."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pi import A72, A76, Pi, missing

from edgebit.board import load_board
from edgebit.devices import ssh as link
from edgebit.flash import ssh

_WHY = missing()
pytestmark = pytest.mark.skipif(_WHY is not None, reason=f"ssh flashing was not tested: {_WHY}")


@pytest.fixture(scope="module")
def exports(edgebit: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two programs for the Raspberry Pi 5: digits and gesture."""
    root = tmp_path_factory.mktemp("exports")
    examples = Path(__file__).resolve().parents[2] / "examples"
    for name in ("digits", "gesture"):
        edgebit("export", examples / name / f"{name}.onnx", "-t", "rpi5", "--limit", 1, "-o", root / name)
        edgebit("build", root / name)
    return root / "digits", root / "gesture"


def test_flash_twice_verify_and_switch(
    pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]
) -> None:
    first, second = exports
    dry = edgebit("flash", first, "--host", "pi", "--dry-run", "--json").json
    assert any("asimddp" in s for s in dry["steps"])
    assert not pi.store.exists()
    done = edgebit("flash", first, "--host", "pi", "--json").json
    assert "it answers as 'digits'" in done["said"]
    assert pi.versions() == {"current": f"versions/{done['image_id']}"}
    stored = pi.store / "current" / "program"
    assert stored.read_bytes() == (first.with_name("digits.build") / "firmware.elf").read_bytes()
    assert "nothing copied" in edgebit("flash", first, "--host", "pi", "--json").json["said"]
    assert edgebit("verify", first, "--host", "pi", "--json").json["bit_exact"] is True
    edgebit("verify", first, "--host", "pi", "--port", "ssh://pi", "--json", code=2)
    then = edgebit("flash", second, "--host", "pi", "--json").json
    assert pi.versions() == {
        "current": f"versions/{then['image_id']}",
        "previous": f"versions/{done['image_id']}",
    }
    said = edgebit("verify", first, "--port", "ssh://pi", "--json", code=7).json
    assert "holds model 'gesture'" in said["error"]
    stored.write_bytes(b"damaged")  # of the second: the same version is copied again
    assert "copied" in edgebit("flash", second, "--host", "pi", "--json").json["said"]
    assert sorted(p.name for p in (pi.store / "versions").iterdir()) == sorted(
        [done["image_id"], then["image_id"]]
    )


def test_wrong_and_unknown_host_key(pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]) -> None:
    pi.known("other")
    said = edgebit("flash", exports[0], "--host", "pi", "--json", code=8).json["error"]
    assert "another host key" in said
    assert "ssh-keygen -R" in said
    pi.known(None)
    assert "not known yet" in edgebit("flash", exports[0], "--host", "pi", "--json", code=8).json["error"]
    assert (
        "not known yet" in edgebit("verify", exports[0], "--port", "ssh://pi", "--json", code=8).json["error"]
    )
    assert not pi.store.exists()


def test_a_key_that_is_not_let_in(pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]) -> None:
    allowed = pi.root / "authorized"
    key = allowed.read_text()
    allowed.write_text("")
    try:
        said = edgebit("flash", exports[0], "--host", "pi", "--json", code=8).json["error"]
    finally:
        allowed.write_text(key)
    assert "ssh-copy-id" in said


def test_connection_lost_mid_copy(pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]) -> None:
    first, second = exports
    before = edgebit("flash", first, "--host", "pi", "--json").json["image_id"]
    # The first 4 KiB arrive, then the server's process of this connection is gone.
    pi.trouble(
        'case "$SSH_ORIGINAL_COMMAND" in\n*"cat >"*) mkdir -p "$HOME/got"; head -c 4096 > "$HOME/got/part"; '
        "kill -9 $PPID; exit 1;;\nesac\n"
    )
    said = edgebit("flash", second, "--host", "pi", "--json", code=10).json["error"]
    assert "the version before still runs" in said
    assert (pi.home / "got" / "part").stat().st_size == 4096
    pi.trouble("")
    assert pi.versions()["current"] == f"versions/{before}"
    assert edgebit("verify", first, "--port", "ssh://pi", "--json").json["bit_exact"] is True


def test_a_copy_that_arrives_damaged(pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]) -> None:
    pi.trouble(
        'case "$SSH_ORIGINAL_COMMAND" in\n*"cat >"*) SSH_ORIGINAL_COMMAND="head -c 9999 | $SSH_ORIGINAL_COMMAND";;\nesac\n'
    )
    said = edgebit("flash", exports[0], "--host", "pi", "--json", code=11).json["error"]
    assert "SHA-256" in said
    assert pi.versions() == {}


def test_wrong_processor(pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]) -> None:
    pi.be("aarch64", A72)
    said = edgebit("flash", exports[0], "--host", "pi", "--json", code=7).json["error"]
    assert "asimddp" in said
    assert "linux-arm64" in said
    pi.be("x86_64", A76)
    assert "x86_64" in edgebit("flash", exports[0], "--host", "pi", "--json", code=7).json["error"]
    pi.be("armv7l", A72)
    assert "64-bit system" in edgebit("flash", exports[0], "--host", "pi", "--json", code=7).json["error"]
    assert not pi.store.exists(), "nothing is copied to a machine that cannot run it"


def test_a_program_that_does_not_answer_is_taken_back(
    pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]
) -> None:
    first, second = exports
    before = edgebit("flash", first, "--host", "pi", "--json").json["image_id"]
    pi.trouble('case "$SSH_ORIGINAL_COMMAND" in\nexec*) exit 3;;\nesac\n')
    said = edgebit("flash", second, "--host", "pi", "--json", code=10).json["error"]
    assert f"went back to {before}" in said
    pi.trouble("")
    assert edgebit("verify", first, "--port", "ssh://pi", "--json").json["bit_exact"] is True


def test_going_back_and_forth(pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]) -> None:
    first, second = exports
    nothing = edgebit("flash", "--rollback", "--host", "pi", "--json", code=11).json["error"]
    assert "no version before" in nothing
    old = edgebit("flash", first, "--host", "pi", "--json").json["image_id"]
    assert "no version" in edgebit("flash", "--rollback", "--host", "pi", "--json", code=11).json["error"]
    new = edgebit("flash", second, "--host", "pi", "--json").json["image_id"]
    dry = edgebit("flash", "--rollback", "--host", "pi", "--dry-run", "--json").json
    assert "version before" in dry["steps"][0]
    assert pi.versions() == {"current": f"versions/{new}", "previous": f"versions/{old}"}
    said = edgebit("flash", "--rollback", "--host", "pi", "--json").json["said"]
    assert f"went back to {old}; it answers as 'digits'" in said
    assert pi.versions() == {"current": f"versions/{old}", "previous": f"versions/{new}"}
    pi.trouble('case "$SSH_ORIGINAL_COMMAND" in\nexec*) exit 3;;\nesac\n')
    said = edgebit("flash", "--rollback", "--host", "pi", "--json", code=10).json["error"]
    assert f"went forth again to {old}" in said
    assert pi.versions()["current"] == f"versions/{old}"
    pi.trouble("")
    edgebit("flash", second, "--rollback", "--host", "pi", "--json", code=2)
    edgebit("flash", "--rollback", "--json", code=2)


def test_without_a_host_or_with_a_bad_one(
    pi: Pi, exports: tuple[Path, Path], edgebit: Callable[..., Any]
) -> None:
    assert "--host" in edgebit("flash", exports[0], "--json", code=6).json["error"]
    assert (
        "should read"
        in edgebit("flash", exports[0], "--host=-oProxyCommand=x", "--json", code=2).json["error"]
    )
    assert edgebit("flash", exports[0], "--host", "pi;x", "--json", code=2).json["exit_code"] == 2
    said = edgebit("verify", exports[0], "--port", "ssh://pi", "--json", code=10).json["error"]
    assert "edgebit flash --host" in said
    said = edgebit("flash", exports[0], "--host", "nobody.invalid", "--json", code=6).json["error"]
    assert "nobody.invalid" in said


def test_units_are_what_systemd_reads(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; the units of --service were not checked by systemd")
    (tmp_path / "edgebit.socket").write_text(ssh.SOCKET)
    (tmp_path / "edgebit@.service").write_text(ssh.SERVICE)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "edgebit@x.service").write_text(
        ssh.SERVICE.replace(f"%h/{link.ROOT}/current/program", str(program))
    )
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--user",
            str(tmp_path / "edgebit@x.service"),
            str(tmp_path / "edgebit.socket"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr


def test_features_a_program_needs() -> None:
    assert set(ssh.needed_features(load_board("rpi4").core)) == {"asimd", "crc32"}
    assert set(ssh.needed_features(load_board("rpi5").core)) == {"asimd", "atomics", "asimdrdm", "asimddp"}
