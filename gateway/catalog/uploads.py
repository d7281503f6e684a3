"""Files of items: kept at once, taken in by a chore in batches, with what became of each row."""

import itertools
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, F

from gateway.audit.services import record
from gateway.catalog.columns import COLUMNS, RESULT_TITLES, TITLES, fields_of, row_of, text_of
from gateway.catalog.judging import ItemRow, RowsRefused, Wrong, judge
from gateway.catalog.models import Item, Upload, UploadRow
from gateway.catalog.services import ItemInFlight, Outcome, SyncedItem, keep_items
from gateway.catalog.sheets import MOST_FILE_BYTES, BadFile, Kind, kind_of, read_rows
from gateway.lanes.chores import Beat, queue_chore
from gateway.lib.clock import utc_now
from gateway.tenants.models import Company
from gateway.tenants.pages import newest_first, page

CHORE = "upload"
BATCH = 200
HEADER_WITHIN = 10  # rows: a title may stand above the names of the columns
PATIENCE_SECONDS = 5.0  # with an item that is being registered just now
KEPT = timedelta(days=90)
GIVEN_UP = (
    "Something failed on our side, several times. The rows up to there were taken in. Upload the file again, and tell "
    "the operator if that fails too."
)


class _Row(NamedTuple):
    number: int
    cells: list[str]
    item: ItemRow
    wrongs: list[Wrong]


@transaction.atomic
def keep_upload(*, company: Company, environment: str, file_name: str, content: bytes, actor: str) -> Upload:
    """Keep a file and have it taken in soon. Raises BadFile when it is too large, or its columns are not ours."""
    if len(content) > MOST_FILE_BYTES:
        raise BadFile(f"A file may have at most {MOST_FILE_BYTES >> 20} MB.")
    if not content.strip():
        raise BadFile("The file is empty.")
    kind = kind_of(content)
    fields, _ = _opened(content, kind)
    upload = Upload.objects.create(
        company=company,
        environment=environment,
        actor=actor,
        file_name=file_name[:200] or f"items.{kind}",
        kind=kind,
        content=content,
        fields=fields,
    )
    queue_chore(CHORE, upload.pk)
    return upload


def take_upload(upload_id: int, beat: Beat) -> None:
    """Take a file in, row by row, going on after the last batch that was committed. Done already: nothing happens.

    A wrong row is noted with its column, and the rest goes on.
    """
    upload = Upload.objects.select_related("company").filter(pk=upload_id).first()
    if upload is None or upload.status in {Upload.Status.DONE, Upload.Status.FAILED}:
        return
    content, kind = bytes(upload.content), _kind(upload)
    try:
        if upload.rows_total is None:
            upload.rows_total = sum(1 for _ in _opened(content, kind)[1])
            Upload.objects.filter(pk=upload.pk).update(rows_total=upload.rows_total, status=Upload.Status.READING)
            beat()
        first_rows = _codes_so_far(upload)
        after = upload.rows.order_by("-number").values_list("number", flat=True).first() or 0
        fields, rows = _opened(content, kind)
        rest = ((number, cells) for number, cells in rows if number > after)
        while batch := list(itertools.islice(rest, BATCH)):
            _take_batch(upload, _judged(upload, fields, batch, first_rows))
            beat()
    except BadFile as error:
        _finish(upload, Upload.Status.FAILED, str(error))
        return
    _finish(upload, Upload.Status.DONE)


def give_up_upload(upload_id: int) -> None:
    """Say that a file is not read to its end; what was taken of it stays."""
    upload = Upload.objects.select_related("company").filter(pk=upload_id).first()
    if upload is not None:
        _finish(upload, Upload.Status.FAILED, GIVEN_UP)


def _kind(upload: Upload) -> Kind:
    return "xlsx" if upload.kind == "xlsx" else "csv"


def _opened(content: bytes, kind: Kind) -> tuple[list[str | None], Iterator[tuple[int, list[Any]]]]:
    """What the columns are, and the rows below the row that names them. Raises BadFile."""
    rows = read_rows(content, kind)
    problem = BadFile("The file has no rows.")
    for number, cells in itertools.islice(rows, HEADER_WITHIN):
        if number > HEADER_WITHIN:
            break
        try:
            return fields_of(cells), rows
        except BadFile as error:
            # the row that comes closest to a header says best what is wrong
            if "missing" not in str(error) or str(problem) == "The file has no rows.":
                problem = error
    raise problem


def _codes_so_far(upload: Upload) -> dict[str, int]:
    """In which row each code stood first, of the rows that were read before a break."""
    at = upload.fields.index("code")
    rows = upload.rows.order_by("number").values_list("number", "cells").iterator(2000)
    codes: dict[str, int] = {}
    for number, cells in rows:
        if at < len(cells) and cells[at]:
            codes.setdefault(cells[at], number)
    return codes


def _judged(
    upload: Upload, fields: Sequence[str | None], batch: Iterable[tuple[int, list[Any]]], first_rows: dict[str, int]
) -> list[_Row]:
    read = [(number, [_shown(cell) for cell in cells], *row_of(fields, cells)) for number, cells in batch]
    judged = judge(upload.environment, [item for _, _, item, _ in read])
    rows: list[_Row] = []
    for (number, cells, _, unread), one in zip(read, judged, strict=True):
        named = {wrong.field for wrong in unread}
        wrongs = [*unread, *(wrong for wrong in one.wrongs if wrong.field not in named)]
        code = one.row.code
        if code and first_rows.setdefault(code, number) != number:
            wrongs.append(Wrong("code", "duplicate", f"The code {code[:50]} stands in row {first_rows[code]} already."))
        rows.append(_Row(number, cells, one.row, wrongs))
    return rows


def _shown(cell: Any) -> str:
    return text_of(cell)[:1000].replace("\x00", "")


def _take_batch(upload: Upload, rows: list[_Row]) -> None:
    """Items, what became of the rows, and the counts of the upload, in one commit."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        good = [row for row in rows if not row.wrongs]
        try:
            now = utc_now()
            with transaction.atomic():
                synced = keep_items(
                    company=upload.company, environment=upload.environment, rows=[row.item for row in good], now=now
                )
                _note(upload, rows, dict(zip((row.number for row in good), synced, strict=True)), now)
            return
        except RowsRefused as error:
            amiss = {good[problem.row].number: Wrong(*problem[1:]) for problem in error.problems}
            rows = [row._replace(wrongs=[amiss[row.number]]) if row.number in amiss else row for row in rows]
        except ItemInFlight as error:
            if time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            busy = Wrong("code", "item_in_flight", "It is being registered at this moment; upload this row again.")
            rows = [row._replace(wrongs=[busy]) if row.item.code in error.codes else row for row in rows]


def _note(upload: Upload, rows: Sequence[_Row], synced: dict[int, SyncedItem], now: datetime) -> None:
    made = [
        UploadRow(
            upload=upload,
            number=row.number,
            cells=row.cells,
            outcome=_outcome(synced.get(row.number), now),
            wrongs=[list(wrong) for wrong in row.wrongs],
            item=synced[row.number].item if row.number in synced else None,
        )
        for row in rows
    ]
    UploadRow.objects.bulk_create(made, batch_size=BATCH)
    outcomes = [row.outcome for row in made]
    wrong, taken = outcomes.count(UploadRow.Outcome.WRONG), outcomes.count(UploadRow.Outcome.TAKEN)
    Upload.objects.filter(pk=upload.pk).update(
        rows_wrong=F("rows_wrong") + wrong,
        rows_taken=F("rows_taken") + taken,
        rows_unchanged=F("rows_unchanged") + len(made) - wrong - taken,
    )


def _outcome(synced: SyncedItem | None, now: datetime) -> UploadRow.Outcome:
    if synced is None:
        return UploadRow.Outcome.WRONG
    if synced.outcome is Outcome.RETIRED:
        return UploadRow.Outcome.RETIRED
    return UploadRow.Outcome.TAKEN if synced.item.updated_at == now else UploadRow.Outcome.UNCHANGED


@transaction.atomic
def _finish(upload: Upload, status: Upload.Status, problem: str = "") -> None:
    ended = Upload.objects.filter(pk=upload.pk).exclude(status__in=[Upload.Status.DONE, Upload.Status.FAILED])
    if not ended.update(status=status, problem=problem[:1000], content=b"", finished_at=utc_now()):
        return
    upload.refresh_from_db()
    record(
        upload.company,
        "items.uploaded",
        subject=upload.public_id,
        environment=upload.environment,
        actor=upload.actor,
        file_name=upload.file_name,
        status=str(upload.status),
        rows_taken=upload.rows_taken,
        rows_unchanged=upload.rows_unchanged,
        rows_wrong=upload.rows_wrong,
    )


# What people see of it


def list_uploads(
    company_id: int, environment: str, *, limit: int, cursor: str | None = None
) -> tuple[list[Upload], str | None]:
    """A page of a company's uploads, newest first, and the cursor of the next page. Raises BadCursor."""
    uploads = Upload.objects.filter(company_id=company_id, environment=environment).defer("content")
    return page(newest_first(uploads, cursor), limit)


def find_upload(company_id: int, environment: str, public_id: uuid.UUID) -> Upload | None:
    """One of the company's uploads, without the file."""
    uploads = Upload.objects.filter(company_id=company_id, environment=environment).defer("content")
    return uploads.filter(public_id=public_id).first()


def item_statuses(upload: Upload) -> dict[str, int]:
    """How many of the file's items stand how at KRA by now."""
    rows = upload.rows.exclude(item=None).order_by()
    counted = dict(rows.values_list("item__status").annotate(rows=Count("id")))
    return {status: counted.get(status, 0) for status in Item.Status.values}


def result_rows(upload: Upload, *, only_wrong: bool = False) -> Iterator[list[str]]:
    """The file row by row with what became of each: titles first. A row with several wrong cells names all of them."""
    titles = [TITLES[field] if field else "" for field in upload.fields]
    yield [RESULT_TITLES[0], *titles, *RESULT_TITLES[1:]]
    rows = upload.rows.select_related("item").order_by("number")
    if only_wrong:
        rows = rows.filter(outcome=UploadRow.Outcome.WRONG)
    for row in rows.iterator(1000):
        cells = [*row.cells, *[""] * len(titles)][: len(titles)]
        outcome, kra_code = str(row.outcome), ""
        columns = "; ".join(TITLES.get(field, field) for field, _, _ in row.wrongs)
        words = "; ".join(message for _, _, message in row.wrongs)
        if row.item is not None:
            outcome, kra_code = str(row.item.status), row.item.kra_code
            words = (row.item.problem or {}).get("detail", "")
        yield [str(row.number), *cells, outcome, kra_code, columns, words]


def template_rows() -> list[list[str]]:
    """The titles of the columns, and one row as an example."""
    return [[column.title for column in COLUMNS], [column.example for column in COLUMNS]]


def forget_uploads(*, now: datetime | None = None) -> int:
    """Delete uploads that ended three months ago, with their rows; the items stay. A second run finds none."""
    ended = Upload.objects.filter(finished_at__lt=(now or utc_now()) - KEPT)
    return ended.delete()[0]
