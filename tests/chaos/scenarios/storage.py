"""The database is older than KRA, or has no room."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests import servers
from tests.chaos.plant import Foundry, Plant
from tests.chaos.scenarios.stories import Story, story
from tests.chaos.seeds import Result, Skipped

TMPFS = "16m"


def restored_backup(foundry: Foundry, result: Result, folder: Path) -> None:
    """The database comes back ten sales old; a till repeats one of the ten, then sells anew, then repeats them all."""
    _restored(foundry, result, folder, twin_first=False)


def restored_backup_and_a_twin(foundry: Foundry, result: Result, folder: Path) -> None:
    """The same, but the first sale after it is a new one, to the cent and second like one of the ten that are lost."""
    _restored(foundry, result, folder, twin_first=True)


def _restored(foundry: Foundry, result: Result, folder: Path, *, twin_first: bool) -> None:
    with story(foundry, result, folder, serves=1, engines=1) as told:
        (company,) = told.companies
        for number in range(1, 6):
            company.post(f"OLD-{number}", wait=25)
        backup = _back_up(told.plant, folder)
        ten = [f"GONE-{number}" for number in range(1, 11)]
        receipts = {reference: (company.post(reference, wait=25).document or {})["receipt"] for reference in ten}
        _restore(told.plant, backup)
        result.strike("database ten sales old")
        order = ["NEW-1", ten[4], *ten, "NEW-2"] if twin_first else [ten[4], "NEW-1", *ten, "NEW-2"]
        for reference in order:
            twin = {"lines": company.sale(ten[0])["lines"]} if twin_first and reference == "NEW-1" else {}
            said = company.post_until_clear(reference, wait=20, **twin)
            document = said.document or {}
            told_right = document.get("status") == "signed"
            if told_right and reference in receipts:
                shown, original = document["receipt"], receipts[reference]
                same = all(shown[name] == original[name] for name in ("signature", "internal_data", "number"))
                told_right = same and shown["recovered"]
            result.expect(told_right, "wrong receipt", reference, f"HTTP {said.status}: {str(said.body)[:800]}")
        numbers = told.numbers(["NEW-1", "NEW-2"])
        result.expect(numbers == [16, 17], "gap", company.pin, f"the new sales have the numbers {numbers}")


def _back_up(plant: Plant, folder: Path) -> Path:
    backup = folder / "backup"
    if plant.shape == "postgres":
        program = servers.postgres_programs() / "pg_dump"
        command = [str(program), "--format=custom", f"--file={backup}", plant.database_url]
        subprocess.run(command, check=True, capture_output=True)
        return backup
    with contextlib.closing(sqlite3.connect(_file(plant))) as live, contextlib.closing(sqlite3.connect(backup)) as copy:
        live.backup(copy)
    return backup


def _restore(plant: Plant, backup: Path) -> None:
    """Stop the gateway, bring the old database back, start the gateway."""
    gateways = plant.of_kind("serve", "engine")
    plant.disturb(60)
    for program in gateways:
        program.stop()
    if plant.shape == "postgres":
        program_file = servers.postgres_programs() / "pg_restore"
        with psycopg.connect(plant.database_url, autocommit=True) as connection:  # --clean cannot drop a table by month
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        command = [str(program_file), "--exit-on-error", f"--dbname={plant.database_url}", str(backup)]
        subprocess.run(command, check=True, capture_output=True)
    else:
        file = _file(plant)
        for left in (file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
            left.unlink(missing_ok=True)
        shutil.copy(backup, file)
    for program in gateways:
        program.is_wanted = True
    plant.supervisor.wait_until_ready()


def _file(plant: Plant) -> Path:
    return Path(plant.database_url.removeprefix("sqlite:///"))


def disk_full(foundry: Foundry, result: Result, folder: Path) -> None:
    """The disk of the database fills up in the middle of a sale: nothing is said to be kept that is not."""
    if result.shape != "embedded":
        raise Skipped("the database server of the other shape has a disk of its own")
    if os.geteuid() != 0:
        raise Skipped("mounting a small disk needs root")
    with _small_disk(folder) as disk, story(foundry, result, folder, state=disk) as told:
        (company,) = told.companies
        company.post("BEFORE", wait=25)
        told.fault("slow", "delay", times=1, pin=company.pin, seconds=2)
        company.post("UNDER-WAY", wait=0)
        ballast = _fill(disk)
        result.strike("disk full")
        refused = 0
        for number in range(1, 9):
            said = company.post(f"FULL-{number}", wait=0)
            refused += said.status == 503
            if said.status == 503:
                code = said.body.get("code")
                result.expect(code == "not_kept", "shown wrongly", said.reference, f"503 says {code}")
            time.sleep(0.5)
        result.figures["sales not taken while full"] = refused
        result.expect(refused > 0, "not told", "disk full", "every sale was kept although the disk was full")
        ballast.unlink()
        _works_again(told)


def _works_again(told: Story) -> None:
    (company,) = told.companies
    give_up_at = time.monotonic() + 60
    for number in range(1, 9):
        said = company.post_until_clear(f"FULL-{number}", wait=10, give_up=lambda: time.monotonic() > give_up_at)
        told.result.expect(said.document is not None, "stuck", said.reference, f"HTTP {said.status}: {said.body}")
    for reference in ("UNDER-WAY", "FULL-8"):
        document = company.wait_for(reference, seconds=30)
        told.result.expect(document.get("status") == "signed", "stuck", reference, str(document))


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS}", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        raise Skipped("a small disk cannot be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path) -> Path:
    """Take every byte that is left."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    return ballast
