"""Opens the device an export runs on: builds when needed, boots or finds the board, checks who answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgebit.bench.folder import ExportFolder
from edgebit.devices.open import Device, open_device
from edgebit.errors import LinkError, ToolchainError
from edgebit.toolchain.build import build_export, changed_files


@contextmanager
def connect(
    folder: ExportFolder,
    *,
    board: str | None = None,
    emulate: str | None = None,
    port: str | None = None,
    toolchain: str | None = None,
    count: bool = False,
) -> Iterator[Device]:
    """A device that runs this export's image. `count` asks an emulated one for costs (slower).

    Raises WrongBoardError when another model or image answers.
    """
    target = folder.board(board)
    built = build_export(folder.path, toolchain=toolchain, as_it_lies=True)
    model = str(folder.manifest["model_id"])
    try:
        with open_device(target, built, emulate=emulate, port=port, count=count, model_id=model) as device:
            device.link.hello()
            yield device
    except (LinkError, ToolchainError) as e:
        damaged = changed_files(built)
        if not damaged:
            raise
        hint = f"{' and '.join(damaged)} changed since it was built: run edgebit build {folder.path}"
        raise type(e)(f"{e}; {hint}", details=e.details) from e
