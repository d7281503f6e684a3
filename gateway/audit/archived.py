"""Months of events that were taken out of the database: where the chain goes through them, and their files."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from gateway.audit.models import Archive
from gateway.lib.crypto import is_signed
from gateway.tenants.vault import is_ours

CHUNK = 1 << 20  # bytes


class BadArchive(Exception):
    """A file of the archive, or the record of it, is not as it was written; the text says which and how."""


@dataclass(frozen=True, slots=True)
class Run:
    """Events of the chain, one after the other, that lie in one month's archive; `seal` is that of the last."""

    first: int
    last: int
    seal: str
    rows: Iterator[dict[str, Any]] | None  # None where the files are not at hand


def file_name(month: str) -> str:
    """How the file of a month (2026-11) is called."""
    return f"audit_event_{month.replace('-', '_')}.jsonl.gz"


def statement(month: str, runs: list[list[Any]], count: int, sha256: str) -> bytes:
    """What of an archive this installation signs."""
    return b"archive:" + msgspec.json.encode([month, runs, count, sha256])


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, in the order of the chain. Raises BadArchive."""
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                row = msgspec.json.decode(line, type=dict[str, Any])
                yield {**row, "at": datetime.fromisoformat(row["at"])}
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise BadArchive(f"{path}: {error}") from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hex. Raises BadArchive when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise BadArchive(f"{path}: {error}") from error
    return digest.hexdigest()


def runs_by_start(folder: Path | None) -> dict[int, Run]:
    """Every archived stretch of the chain by its first position; read from the files in a folder, when one is given.

    Raises BadArchive for a record that this installation has not signed, and for a file that is not the one it names.
    """
    found: dict[int, Run] = {}
    for archive in Archive.objects.order_by("month"):
        said = statement(archive.month, archive.runs, archive.count, archive.sha256)
        is_genuine = is_signed(said, public_key=archive.public_key, signature=archive.signature)
        if not (is_genuine and is_ours(archive.public_key)):
            raise BadArchive(f"the record of the archive of {archive.month} is not signed by this installation")
        rows = None
        if folder is not None:
            path = folder / file_name(archive.month)
            if sha256_of(path) != archive.sha256:
                raise BadArchive(f"{path} is not the file that was written")
            rows = read_rows(path)
        for first, last, seal in archive.runs:
            found[first] = Run(first, last, seal, None if rows is None else islice(rows, last - first + 1))
    return found
