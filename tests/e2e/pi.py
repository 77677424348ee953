"""An OpenSSH server on this machine, whose sessions run in an emulated Raspberry Pi's user space.

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
from pathlib import Path

from edgebit.devices import ssh as link

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
A72 = "fp asimd evtstrm crc32 cpuid"
A76 = A72 + " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
ELF64 = (
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
)


def missing() -> str | None:
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

    def be_new(self) -> None:
        """Empty the home folder, be a Pi 5 without trouble, and be known."""
        shutil.rmtree(self.home)
        self.home.mkdir()
        self.be("aarch64", A76)
        self.trouble("")
        self.known("host")

    def versions(self) -> dict[str, str]:
        """Where the links point."""
        return {
            n: os.readlink(self.store / n) for n in ("current", "previous") if (self.store / n).is_symlink()
        }
