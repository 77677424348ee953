"""Makes the helpers of this folder importable (`import talker`), and exports the model that talks once a session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "kernels"):
    sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def talker_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export folder of talker.py's model for this machine, with the template CHATML."""
    import talker

    return talker.export_talker(tmp_path_factory.mktemp("talker") / "host")
