"""Opens the device an export runs on: builds when needed, boots or finds the board, checks who answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgebit.bench.folder import ExportFolder
from edgebit.devices.open import Device, open_device
from edgebit.errors import WrongBoardError
from edgebit.toolchain.build import build_export


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
    built = build_export(folder.path, toolchain=toolchain)
    device = open_device(target, built, emulate=emulate, port=port, count=count)
    try:
        hello = device.link.hello()
        if hello.model_id != folder.manifest["model_id"][:16]:
            raise WrongBoardError(
                f"{device.title} runs another model ({hello.model_name!r}, id {hello.model_id}), not {folder.name} "
                f"({folder.manifest['model_id'][:16]}); run: edgebit flash {folder.path}"
            )
        if hello.image_id != built.image_id:
            raise WrongBoardError(
                f"{device.title} runs another build of {folder.name} (image {hello.image_id}, built here: "
                f"{built.image_id}); run: edgebit flash {folder.path}"
            )
        yield device
    finally:
        device.close()
