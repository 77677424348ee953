"""Finds the data folders (runtime_c, boards, exporters) in wheel and checkout, and writes files safely."""

from __future__ import annotations

import contextlib
import errno
import importlib.resources
import itertools
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from edgebit.errors import UsageError, WriteError


def data_dir(name: str) -> Path:
    """The folder of the data package `edgebit.<name>` (name: "runtime_c", "boards" or "exporters")."""
    return Path(str(importlib.resources.files(f"edgebit.{name}")))


def cache_dir() -> Path:
    """A per-user folder for things that can be rebuilt (compiler caches, the emulator's hook)."""
    root = os.environ.get("EDGEBIT_CACHE") or None
    try:
        if root is None:
            base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
            root = str(Path(base) / "edgebit")
        path = Path(root).absolute()
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, RuntimeError) as e:  # RuntimeError: this user has no home
        why = getattr(e, "strerror", None) or e
        raise WriteError(
            f"cannot write to the cache folder {root or ''}: {why}; set EDGEBIT_CACHE to a folder you may write to"
        ) from e
    return path


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns the system's refusal to write into a sentence."""
    try:
        yield
    except OSError as e:
        what = "" if e.filename in (None, str(path)) else f" ({e.filename})"
        raise WriteError(f"cannot write {path}: {e.strerror or e}{what}") from e


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file to the side and rename it, so that a reader never sees half of it."""
    raw = data.encode() if isinstance(data, str) else data
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, tmp = tempfile.mkstemp(dir=path.parent, prefix=_aside(path))
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(raw)
            os.chmod(tmp, 0o644)
            os.replace(tmp, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(tmp)
            raise


_RUBBISH = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def foreign_files(folder: Path, ours: Collection[str]) -> Iterator[str]:
    """The files under a folder that are not among `ours` (relative, with /), in the order they are met.

    What file managers leave behind does not count. A link counts as a file of its own, whatever it points to, and a
    folder that cannot be read as one file.
    """
    unread: list[str] = []
    for root, folders, files in os.walk(folder, onerror=lambda e: unread.append(str(e.filename))):
        links = [f for f in folders if os.path.islink(os.path.join(root, f))]
        for name in [*unread, *sorted(files + links)]:
            path = Path(os.path.relpath(os.path.join(root, name), folder)).as_posix()
            if os.path.basename(name) not in _RUBBISH and path not in ours:
                yield path
        unread.clear()
    yield from unread


def check_replaceable(path: Path, ours: Collection[str]) -> None:
    """UsageError unless a folder at `path` may be replaced whole: it holds nothing but files named in `ours`."""
    if not os.path.lexists(path):
        return
    if not os.path.isdir(path):
        raise UsageError(f"{path} exists and is not a folder; it will not be replaced")
    others = list(itertools.islice(foreign_files(path, frozenset(ours)), 4))
    if others:
        more = ", ..." if len(others) > 3 else ""
        raise UsageError(
            f"{path} holds files that EdgeBit did not write ({', '.join(others[:3])}{more}); it will not be "
            "replaced: move them away or choose another folder"
        )
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return
    if path.resolve() in (here, *here.parents):
        raise UsageError(f"{path} is the folder you are in, and cannot be replaced: choose a folder in it")


@contextlib.contextmanager
def folder_atomically(path: Path, ours: Collection[str] = ()) -> Iterator[Path]:
    """Fill a folder to the side; it takes `path`'s place only when the block ends without an error.

    ours: the files, relative to it, that a folder already there may hold to be replaced (see check_replaceable).
    A link at `path` is followed. WriteError when the system does not let it be written.
    """
    path = resolved(path)
    check_replaceable(path, ours)
    with _writing(path):
        made = [p for p in path.parents if not p.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = Path(tempfile.mkdtemp(dir=path.parent, prefix=_aside(path)))
        try:
            os.chmod(tmp, 0o755)
            yield tmp
            _take_place(tmp, path, ours)
        except BaseException:
            shutil.rmtree(tmp, ignore_errors=True)
            with contextlib.suppress(OSError):
                for p in made:
                    p.rmdir()
            raise


def resolved(path: Path) -> Path:
    """The absolute path with links followed; WriteError when they lead nowhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as e:  # links that go in circles, a current folder that was removed
        raise WriteError(f"cannot write {path}: {getattr(e, 'strerror', None) or e}") from e


def _aside(path: Path) -> str:
    return f".{path.name[:40]}."


def _take_place(tmp: Path, path: Path, ours: Collection[str], attempts: int = 20) -> None:
    """Rename a folder to `path`; what is there goes once the new one is in its place, or comes back.

    Another run may do the same at the same time: then one of the two folders ends up there, whole.
    """
    for attempt in range(attempts):
        old: Path | None = None
        try:
            if os.path.isdir(path):
                check_replaceable(path, ours)
                old = Path(tempfile.mkdtemp(dir=path.parent, prefix=_aside(path)))
                os.rename(path, old / "old")
            os.rename(tmp, path)
        except BaseException as e:
            with contextlib.suppress(OSError):
                if old is not None and (old / "old").is_dir() and not path.exists():
                    os.rename(old / "old", path)
            late = isinstance(e, OSError) and e.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
            if not late or attempt + 1 == attempts:
                raise
        else:
            return
        finally:
            if old is not None and (path.exists() or not (old / "old").exists()):
                shutil.rmtree(old, ignore_errors=True)
