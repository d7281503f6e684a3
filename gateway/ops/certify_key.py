"""The file in which a certification run keeps a device's activation and its next numbers, so that another run goes on.

KRA gives a device's key once. So the intent is written before the call, the answer before anybody reads it, and the
answer is sealed with the installation's master key. A key that KRA gave to another system may be written into the file
by hand (`key`, `control_unit`, `machine`); it is sealed the next time the file is used.
"""

import base64
import contextlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.kra.activation import read_activation
from gateway.kra.documents import Activation, Exchange, RawActivation
from gateway.kra.errors import KraError, NoAnswer
from gateway.kra.profiles import Flavour
from gateway.lib.crypto import SealBroken, UnknownKey, open_sealed, seal


class KeyFileTrouble(Exception):
    """The key file cannot be used; the message says why and what to do."""


class Numbers(msgspec.Struct):
    """The next number of each series."""

    invoice: int = 1
    purchase: int = 1
    stock: int = 1
    item: int = 1


class _Answer(msgspec.Struct, frozen=True):
    body: bytes
    http_status: int
    content_type: str


class _Entered(msgspec.Struct, frozen=True):
    key: str
    control_unit: str
    machine: str


class _File(msgspec.Struct, omit_defaults=True):
    pin: str
    branch: str
    serial: str
    sent_at: datetime | None = None
    sealed_answer: str = ""  # base64
    sealed_key: str = ""
    exchange: Exchange | None = None  # masked
    numbers: Numbers = msgspec.field(default_factory=Numbers)
    key: str = ""
    control_unit: str = ""
    machine: str = ""


class KeyFile:
    """The key file of one device at `path`."""

    def __init__(self, path: Path, *, pin: str, branch: str, serial: str, master_keys: Sequence[bytes]) -> None:
        self.path = path
        self._master_keys = master_keys
        self._file = _File(pin, branch, serial)
        if path.exists():
            self._read()

    @property
    def is_activated(self) -> bool:
        return bool(self._file.sealed_answer or self._file.sealed_key)

    @property
    def numbers(self) -> Numbers:
        return self._file.numbers

    @property
    def exchange(self) -> Exchange | None:
        """The message that activated the device, masked."""
        return self._file.exchange

    def save(self) -> None:
        """Write the file whole, readable by its owner only, and make sure that it is on the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self._file), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def intend(self, now: datetime) -> None:
        """Note that the activation is about to be sent."""
        self._file.sent_at = now
        self.save()

    def keep(self, raw: RawActivation) -> None:
        """Store what KRA answered, before it is read."""
        answer = _Answer(raw.body, raw.http_status, raw.content_type)
        self._file.sealed_answer = self._sealed(msgspec.json.encode(answer))
        self._file.exchange = raw.exchange
        self.save()

    def activation(self, flavour: Flavour) -> Activation:
        """What the device is and its key. Raises the KraError that KRA's stored answer stands for."""
        if self._file.sealed_key:
            entered = msgspec.json.decode(self._opened(self._file.sealed_key), type=_Entered)
            return _entered(self._file, entered)
        answer = msgspec.json.decode(self._opened(self._file.sealed_answer), type=_Answer)
        assert self._file.exchange is not None
        raw = RawActivation(
            body=answer.body,
            http_status=answer.http_status,
            content_type=answer.content_type,
            exchange=self._file.exchange,
        )
        return read_activation(raw, flavour)

    def forget(self, error: KraError) -> None:
        """After a failed activation: remove the file, unless KRA may have given the key."""
        if not isinstance(error, NoAnswer):
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()

    def _read(self) -> None:
        try:
            file = msgspec.json.decode(self.path.read_bytes(), type=_File)
        except msgspec.DecodeError as error:
            raise KeyFileTrouble(f"{self.path} is no key file: {error}") from error
        wanted, found = self._file, (file.pin, file.branch, file.serial)
        if found != (wanted.pin, wanted.branch, wanted.serial):
            raise KeyFileTrouble(f"{self.path} belongs to device {file.serial} of {file.pin}, branch {file.branch}.")
        self._file = file
        if file.key:
            self._file.sealed_key = self._sealed(
                msgspec.json.encode(_Entered(file.key, file.control_unit, file.machine))
            )
            self._file.key = ""
            self.save()
        if not self.is_activated:
            raise KeyFileTrouble(
                f"{self.path} says that the initialisation was sent ({file.sent_at}) and its answer did not arrive. "
                "KRA may have given the key. Do not send it again: ask KRA to reset the device and remove the file, or "
                'write the key that KRA gave into it as "key", with "control_unit" and "machine".'
            )

    def _aad(self) -> bytes:
        return f"certify {self._file.pin} {self._file.branch} {self._file.serial}".encode()

    def _sealed(self, plain: bytes) -> str:
        return base64.b64encode(seal(self._master_keys[0], plain, self._aad())).decode()

    def _opened(self, sealed: str) -> bytes:
        for key in self._master_keys:
            try:
                return open_sealed(key, base64.b64decode(sealed), self._aad())
            except UnknownKey:
                continue
            except (SealBroken, ValueError) as error:
                raise KeyFileTrouble(f"{self.path} was changed: what is sealed in it does not open.") from error
        raise KeyFileTrouble(f"{self.path} was sealed with another ENCRYPTION_KEY than this installation has.")


def _entered(file: _File, entered: _Entered) -> Activation:
    """A device whose key was written by hand: what we know of it is little."""
    return Activation(
        pin=file.pin,
        branch=file.branch,
        taxpayer_name="",
        business_activity="",
        branch_name="",
        branch_opened_on="",
        county_name="",
        sub_county_name="",
        tax_locality_name="",
        location_description="",
        is_head_office=file.branch == "00",
        manager_name="",
        manager_phone="",
        manager_email="",
        device_id="",
        control_unit_id=entered.control_unit,
        machine_code=entered.machine,
        key=entered.key,
        internal_key="",
        signing_key="",
        last_numbers={},
    )
