"""A second copy of whatever gives a device its key, for the day when the first one does not open.

KRA gives a key once. The first copy is the device's own, sealed by its company's data key. This one is sealed by the
installation's master key alone and can be carried off the machine (`manage.py escrow export`): it stays sealed, and
whoever finds it without the master key has nothing. Nothing here ever shows a key to anybody.
"""

import logging
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from django.conf import settings
from django.db import DatabaseError, transaction

from gateway.devices.models import Device, Escrow
from gateway.lib.crypto import KeyRing, new_data_key, open_sealed, seal, wrapped_by
from gateway.lib.crypto import SealBroken as SealBroken

log = logging.getLogger(__name__)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to an activation, as it came. Its repr hides the body."""

    at: datetime
    http_status: int
    content_type: str
    body: bytes

    def __repr__(self) -> str:
        return f"Answer(http_status={self.http_status}, {len(self.body)} bytes)"


class EnteredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was entered by hand, and what was said of its device. Its repr hides the key."""

    at: datetime
    key: str
    control_unit_id: str
    machine_code: str
    device_id: str

    def __repr__(self) -> str:
        return f"EnteredKey(control_unit_id={self.control_unit_id!r})"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed copy as it stands in a file: readable is only whose it is."""

    id: uuid.UUID
    device: uuid.UUID
    environment: str
    pin: str
    branch: str
    serial: str
    kind: str
    at: datetime
    sealed: bytes
    wrapped: bytes


def keep(device: Device, content: Answer | EnteredKey) -> bool:
    """Put a copy into escrow: a row, or a file under `var/escrow` when the database does not take it.

    Whether it is kept; when not, that is logged as critical and the caller must know of another copy.
    """
    record = _sealed(device, content)
    try:
        with transaction.atomic():
            Escrow.objects.create(
                public_id=record.id,
                company=device.company,
                device=device,
                kind=record.kind,
                sealed=record.sealed,
                wrapped=record.wrapped,
            )
    except DatabaseError:
        log.exception("the database takes no copy of what KRA gave for device %s", device.public_id)
        return _keep_in_file(record)
    return True


def check(company_id: uuid.UUID) -> None:
    """Whether what is put into escrow can be got out again. Raises SealBroken when it cannot."""
    key, aad = new_data_key(), b"check:%b" % str(company_id).encode()
    if _ring().unwrap(_ring().wrap(key, aad), aad) != key:
        raise SealBroken("the master key does not open what it has sealed")


def records(*, of: Device | None = None) -> Iterator[Record]:
    """What is in escrow, newest first; of one device, or all."""
    rows = Escrow.objects.select_related("device__branch", "company").order_by("-id")
    if of is not None:
        rows = rows.filter(device=of)
    for row in rows.iterator(chunk_size=500):
        yield Record(
            id=row.public_id,
            device=row.device.public_id,
            environment=row.device.environment,
            pin=row.company.pin,
            branch=row.device.branch.code,
            serial=row.device.serial,
            kind=row.kind,
            at=row.created_at,
            sealed=bytes(row.sealed),
            wrapped=bytes(row.wrapped),
        )


def opened(record: Record) -> Answer | EnteredKey:
    """What is in a copy. Raises SealBroken when it was changed, or the master key that wrapped it is not at hand."""
    key = _ring().unwrap(record.wrapped, _aad(record.id))
    content = open_sealed(key, record.sealed, _aad(record.id))
    if record.kind == Escrow.Kind.KEY:
        return msgspec.json.decode(content, type=EnteredKey)
    return msgspec.json.decode(content, type=Answer)


def write_line(record: Record) -> bytes:
    """A record as one line of a file, without the line's end."""
    return msgspec.json.encode(record)


def read_lines(lines: Iterable[bytes]) -> list[Record]:
    """The records of a file that was exported, or kept when the database failed. Raises ValueError for other files."""
    try:
        return [msgspec.json.decode(line, type=Record) for line in lines if line.strip()]
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no file of keys in escrow: {error}") from None


def rewrap(*, batch: int = 200) -> Iterator[tuple[int, int]]:
    """Wrap every copy by the newest master key; how many were looked at so far, of how many. May be stopped, repeated.

    What is sealed stays as it is; only the wrapping of its key changes, so a file exported earlier still needs the
    master key of its day.
    """
    newest, done, last = KeyRing(settings.ENCRYPTION_KEYS[:1]), 0, 0
    total = Escrow.objects.count()
    while rows := list(Escrow.objects.filter(pk__gt=last).order_by("pk")[:batch]):
        last = rows[-1].pk
        for row in rows:
            if not newest.is_newest(bytes(row.wrapped)):
                aad = _aad(row.public_id)
                wrapped = newest.wrap(_ring().unwrap(bytes(row.wrapped), aad), aad)
                Escrow.objects.filter(pk=row.pk, wrapped=row.wrapped).update(wrapped=wrapped)
        done += len(rows)
        yield done, total


def master_keys() -> set[str]:
    """The ids of the master keys that copies need now."""
    return {wrapped_by(bytes(wrapped)) for wrapped in Escrow.objects.values_list("wrapped", flat=True).iterator()}


def _sealed(device: Device, content: Answer | EnteredKey) -> Record:
    key, record_id = new_data_key(), uuid.uuid4()
    return Record(
        id=record_id,
        device=device.public_id,
        environment=device.environment,
        pin=device.company.pin,
        branch=device.branch.code,
        serial=device.serial,
        kind=Escrow.Kind.KEY if isinstance(content, EnteredKey) else Escrow.Kind.ANSWER,
        at=content.at,
        sealed=seal(key, msgspec.json.encode(content), _aad(record_id)),
        wrapped=_ring().wrap(key, _aad(record_id)),
    )


def _keep_in_file(record: Record) -> bool:
    folder: Path = settings.VAR_DIR / "escrow"
    path = folder / f"{record.device}-{record.id}.jsonl"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(write_line(record) + b"\n")
    except OSError:
        log.critical("what KRA gave for device %s is not kept in escrow", record.device, exc_info=True)
        return False
    log.critical("what KRA gave for device %s is kept, sealed, in %s alone", record.device, path)
    return True


def _aad(record_id: uuid.UUID) -> bytes:
    return b"escrow:%b" % str(record_id).encode()


def _ring() -> KeyRing:
    return KeyRing(settings.ENCRYPTION_KEYS)
