"""Writing a file so that a reader sees the old one or the whole new one, never a part of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields the name of a new, empty file beside ``path``; it takes the place of ``path`` if the block succeeds.

    The data reach the disk (fsync) before the rename, and the rename itself before this returns. If the block
    raises, or the process dies, ``path`` is as it was.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> target.read_text(), [p.name for p in target.parent.iterdir()]
    ('1 2 3', ['numbers.txt'])
    """
    target = Path(os.path.realpath(path))  # a symbolic link stays; what it points to is replaced
    if target.is_dir():
        raise IsADirectoryError(f"cannot write the file {target}: a folder has that name")
    temporary = _create_beside(target)
    mode = temporary.stat().st_mode
    try:
        yield temporary
        os.chmod(temporary, mode)  # the writer may have put another file in its place
        _sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened for syncing
        _sync(target.parent)


def _create_beside(target: Path) -> Path:
    """An empty file in target's folder, with the permissions a plain ``open`` would give it."""
    for attempt in range(10_000):
        temporary = target.with_name(f".{target.name}.{os.getpid()}.{attempt}.part")
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:  # another thread's, or left by a killed process that had our id
            continue
        return temporary
    raise FileExistsError(f"no free name for a temporary file beside {target}")


def _sync(path: Path) -> None:
    # Windows can only sync what is open for writing; POSIX cannot open a folder for writing.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
