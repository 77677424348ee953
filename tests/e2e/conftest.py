"""Makes the helpers of this folder importable (`import talker`), and exports the model that talks once a session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pi import Pi
    from serving import Server

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "kernels"):
    sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def talker_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export folder of talker.py's model for this machine, with the template CHATML."""
    import talker

    return talker.export_talker(tmp_path_factory.mktemp("talker") / "host")


@pytest.fixture(scope="session")
def server(talker_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the talking model at which one request may wait."""
    from serving import Server

    found = Server(talker_export, tmp_path_factory.mktemp("server") / "log", "--waiting", 1)
    try:
        yield found
    finally:
        assert found.stop() == 0
    assert "Traceback" not in found.log.read_text()


@pytest.fixture(scope="session")
def running_pi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pi]:
    from pi import Pi

    pi = Pi(tmp_path_factory.mktemp("pi"))
    yield pi
    pi.server.terminate()
    pi.server.wait()


@pytest.fixture
def pi(running_pi: Pi, monkeypatch: pytest.MonkeyPatch) -> Pi:
    """A Raspberry Pi 5 that answers ssh as the host `pi`, with nothing on it."""
    from edgebit.devices.ssh import CONFIG

    running_pi.be_new()
    monkeypatch.setenv(CONFIG, str(running_pi.config))
    return running_pi
