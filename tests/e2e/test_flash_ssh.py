"""ssh flashing against a real OpenSSH server on this machine, whose sessions run in an emulated Raspberry Pi's user space.

Every command of a session runs in a user and mount namespace of its own, where AArch64 programs run under qemu-aarch64
(by binfmt_misc), /proc/cpuinfo shows the processor of the Pi, and `uname -m` says so.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebit.board import load_board
from edgebit.devices import ssh as link
from edgebit.flash import ssh

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
A72 = "fp asimd evtstrm crc32 cpuid"
A76 = A72 + " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
ELF64 = (
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
)


def _missing() -> str | None:
    """Why this machine cannot play the Pi; None when it can."""
    for tool in ("ssh", "ssh-keygen", "qemu-aarch64", "unshare"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if SSHD is None:
        return "the OpenSSH server is not installed (apt install openssh-server)"
    tried = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"],
        check=False,
        capture_output=True,
    )
    return (
        None
        if tried.returncode == 0
        else "this kernel does not let a user namespace have its own binfmt_misc"
    )


_WHY = _missing()
pytestmark = pytest.mark.skipif(_WHY is not None, reason=f"ssh flashing was not tested: {_WHY}")


class Pi:
    """The server, its home folder and its processor."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.bin = root, root / "home", root / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        for name in ("host", "other", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True
            )
        shutil.copy(root / "user.pub", root / "authorized")
        (self.bin / "uname").write_text(
            '#!/bin/sh\n[ "$1" = -m ] && cat "$EB_MACHINE" || exec /bin/uname "$@"\n'
        )
        (self.bin / "uname").chmod(0o755)
        self.be("aarch64", A76)
        inside = root / "inside.sh"
        inside.write_text(
            "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc\n"
            f"printf ':pi:M::{ELF64[0]}:{ELF64[1]}:{shutil.which('qemu-aarch64')}:F' "
            "> /proc/sys/fs/binfmt_misc/register\n"
            f"mount --bind {root}/cpuinfo /proc/cpuinfo\n"
            f"cd {self.home}\n"
            'exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        session = root / "session.sh"
        session.write_text(
            f"#!/bin/sh\nexport HOME={self.home} PATH={self.bin}:$PATH EB_MACHINE={root}/machine\n"
            f". {root}/trouble\nexec unshare -Urm sh {inside}\n"
        )
        session.chmod(0o755)
        self.trouble("")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (root / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {root}/host\nPidFile {root}/pid\n"
            f"AuthorizedKeysFile {root}/authorized\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nPermitRootLogin yes\nUsePAM no\nForceCommand {session}\n"
        )
        self.config = root / "ssh_config"
        self.config.write_text(
            f"Host pi\n  HostName 127.0.0.1\n  Port {self.port}\n  User {getpass.getuser()}\n  IdentityFile {root}/user\n"
            f"  UserKnownHostsFile {root}/known\n  GlobalKnownHostsFile /dev/null\n  IdentitiesOnly yes\n"
            "  StrictHostKeyChecking yes\n"
        )
        self.known("host")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in before a login
        assert SSHD is not None
        with (root / "log").open("w") as log:
            self.server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(root / "sshd_config")], stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self.server.poll() is None, (self.root / "log").read_text()
                assert time.monotonic() < deadline, (self.root / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def be(self, machine: str, features: str) -> None:
        """Set what `uname -m` and /proc/cpuinfo say."""
        (self.root / "machine").write_text(machine + "\n")
        (self.root / "cpuinfo").write_text(f"processor\t: 0\nFeatures\t: {features}\n")

    def trouble(self, script: str) -> None:
        """Shell lines that run before each command."""
        (self.root / "trouble").write_text(script)

    def known(self, key: str | None) -> None:
        """The host key that the client expects."""
        public = "" if key is None else " ".join((self.root / f"{key}.pub").read_text().split()[:2])
        (self.root / "known").write_text(f"[127.0.0.1]:{self.port} {public}\n" if public else "")

    @property
    def store(self) -> Path:
        return self.home / link.ROOT

    def versions(self) -> dict[str, str]:
        """Where the links point."""
        return {
            n: os.readlink(self.store / n) for n in ("current", "previous") if (self.store / n).is_symlink()
        }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pi]:
    pi = Pi(tmp_path_factory.mktemp("pi"))
    yield pi
    pi.server.terminate()
    pi.server.wait()


@pytest.fixture
def pi(running: Pi, monkeypatch: pytest.MonkeyPatch) -> Pi:
    shutil.rmtree(running.home)
    running.home.mkdir()
    running.be("aarch64", A76)
    running.trouble("")
    running.known("host")
    monkeypatch.setenv(link.CONFIG, str(running.config))
    return running


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
    assert edgebit("verify", first, "--port", "ssh://pi", "--json").json["bit_exact"] is True
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
