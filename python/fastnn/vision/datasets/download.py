"""Downloads with checksums: from the first mirror that works, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import fastnn
from fastnn.utils._files import atomic_path

__all__ = ["download", "has_md5"]

_CHUNK = 1 << 16
_TIMEOUT = 30.0  # seconds without a byte


def has_md5(path: str | os.PathLike[str], md5: str) -> bool:
    """Whether the file exists and has this checksum."""
    if not os.path.isfile(path):
        return False
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == md5


def download(
    mirrors: Sequence[str], filename: str, folder: str | os.PathLike[str], md5: str
) -> Path:
    """Fetches ``filename`` from the first mirror that delivers it intact.

    Args:
        mirrors: Addresses to which the file's name is appended.
        filename: Name of the file, on the mirror and in ``folder``.
        folder: Where to put it; made if missing. A file there with the right checksum is kept.
        md5: Checksum of the file.

    Raises:
        RuntimeError: No mirror delivered it; the message says why for each.
    """
    path = Path(folder) / filename
    if has_md5(path, md5):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in mirrors:
        url = mirror.rstrip("/") + "/" + filename
        try:
            with atomic_path(path) as temporary:
                _fetch(url, temporary, md5)
            return path
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"  {url}: {error}")
    raise RuntimeError(
        "\n".join([f"could not download {filename} to {path.parent}:", *failures])
        + "\nFetch it by other means and put it into that folder, or try again."
    )


def _fetch(url: str, path: Path, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    request = Request(url, headers={"User-Agent": f"fastnn/{fastnn.__version__}"})
    with urlopen(request, timeout=_TIMEOUT) as response, open(path, "wb") as file:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        with _progress(url, total) as bar:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
    size = path.stat().st_size
    if total is not None and size != total:
        raise ValueError(f"the connection ended after {size} of {total} bytes")
    if digest.hexdigest() != md5:
        raise ValueError(
            f"wrong checksum: expected MD5 {md5}, found {digest.hexdigest()} ({size} bytes)"
        )


def _progress(url: str, total: int | None) -> Any:
    from tqdm import tqdm

    name = url.rsplit("/", 1)[-1]
    return tqdm(total=total, unit="B", unit_scale=True, desc=name, file=sys.stderr)
