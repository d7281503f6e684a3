from typing import Any

import pytest

from gateway.audit.models import Event
from gateway.catalog.models import Item, ItemClass, Upload, UploadRow
from gateway.catalog.sheets import BadFile, read_rows, write_csv, write_xlsx
from gateway.catalog.uploads import forget_uploads, item_statuses, keep_upload, result_rows, take_upload, template_rows
from gateway.lanes.chores import ChoreLost
from gateway.lanes.models import Chore, Job
from gateway.lib.clock import utc_now
from gateway.tenants.models import Company
from tests.catalog.test_sheets import workbook
from tests.tenants.factories import make_company

pytestmark = pytest.mark.django_db
HEADER = ["Code", "Name", "Item class", "Price"]


@pytest.fixture
def company() -> Company:
    ItemClass.objects.create(environment="sandbox", code="5016150900", name="Sugars", level=5, tax_type="B")
    ItemClass.objects.create(environment="sandbox", code="5016150302", name="Brown sugar", level=5, tax_type="B")
    return make_company().company


def keep(company: Company, content: bytes) -> Upload:
    return keep_upload(
        company=company, environment="sandbox", file_name="items.xlsx", content=content, actor="key:owner"
    )


def taken(company: Company, content: bytes) -> Upload:
    upload = keep(company, content)
    take_upload(upload.pk, lambda: None)
    upload.refresh_from_db()
    return upload


def good(count: int, start: int = 0) -> list[list[Any]]:
    return [[f"SKU-{number}", f"Item {number}", "5016150900", number] for number in range(start, start + count)]


def counts(upload: Upload) -> tuple[int | None, int, int, int]:
    return upload.rows_total, upload.rows_taken, upload.rows_unchanged, upload.rows_wrong


def test_a_file_is_kept_and_a_chore_is_queued(company: Company) -> None:
    upload = keep(company, workbook(HEADER, *good(2)))
    assert (upload.status, upload.kind, upload.rows_total) == ("waiting", "xlsx", None)
    assert Chore.objects.get().document_id == upload.pk


def test_rows_become_items_that_wait_for_kra_in_their_order(company: Company) -> None:
    upload = taken(company, workbook(HEADER, *good(450)))
    assert (upload.status, bytes(upload.content)) == ("done", b"")
    assert counts(upload) == (450, 450, 0, 0)
    codes = [
        Item.objects.get(pk=pk).code for pk in Job.objects.order_by("id").values_list("document_id", flat=True)[:3]
    ]
    assert codes == ["SKU-0", "SKU-1", "SKU-2"]
    assert item_statuses(upload) == {"waiting": 450, "registered": 0, "refused": 0, "retired": 0}
    assert Event.objects.get(name="items.uploaded").data["rows_taken"] == 450


def test_the_same_file_again_changes_nothing(company: Company) -> None:
    content = workbook(HEADER, *good(3))
    taken(company, content)
    assert counts(taken(company, content)) == (3, 0, 3, 0)  # while they wait
    assert Job.objects.count() == 3
    Item.objects.update(status="registered", kra_code="KE2NTU0000001")
    Job.objects.all().delete()
    again = taken(company, content)
    assert counts(again) == (3, 0, 3, 0)
    assert not Job.objects.exists()


def test_a_wrong_row_is_told_by_row_and_column_and_the_others_are_taken(company: Company) -> None:
    rows: list[list[Any]] = [
        ["A", "Sugar", "5016150900", 10],
        ["B", "", "5016150900", 10],
        ["C", "Salt", "999", "ten"],
        ["A", "Sugar again", "5016150900", 10],
        ["D", "x" * 201, "5016150900", 10],
        ["E", "Flour", "5016150900", 10],
    ]
    upload = taken(company, workbook(["My shop"], HEADER, *rows))
    assert counts(upload) == (6, 2, 0, 4)
    assert sorted(Item.objects.values_list("code", flat=True)) == ["A", "E"]
    told = {row.number: [wrong[:2] for wrong in row.wrongs] for row in upload.rows.filter(outcome="wrong")}
    assert told == {
        4: [["name", "blank"]],
        5: [["price", "not_a_number"], ["item_class", "unknown_code"], ["tax_type", "missing"]],
        6: [["code", "duplicate"]],
        7: [["name", "too_long"]],
    }
    assert "row 3" in upload.rows.get(number=6).wrongs[0][2]


def test_the_result_file_shows_each_row_and_can_be_uploaded_corrected(company: Company) -> None:
    upload = taken(company, workbook(HEADER, ["A", "'=Sugar", "5016150900", 10], ["B", "Salt", "999", 10]))
    Item.objects.filter(code="A").update(status="registered", kra_code="KE2NTU0000001")
    titles, first, second = result_rows(upload)
    assert titles == ["Row", "Code", "Name", "Item class", "Price with tax", *titles[5:]]
    assert first == ["2", "A", "=Sugar", "5016150900", "10", "registered", "KE2NTU0000001", "", ""]
    assert second[:6] == ["3", "B", "Salt", "999", "10", "wrong"]
    assert second[7].startswith("Item class") and "no item class 999" in second[8]
    assert len(list(result_rows(upload, only_wrong=True))) == 2
    second[3] = "5016150302"
    for content in (write_csv([titles, first, second]), write_xlsx([titles, first, second], title="x")):
        again = taken(company, content)
        assert again.rows_wrong == 0
    assert Item.objects.get(code="A").name == "=Sugar"
    assert Item.objects.get(code="B").item_class == "5016150302"


def test_an_item_that_kra_refused_is_told_in_the_result_file(company: Company) -> None:
    upload = taken(company, workbook(HEADER, *good(1)))
    Item.objects.update(status="refused", problem={"code": "refused_by_kra", "detail": "KRA says no."})
    row = list(result_rows(upload))[1]
    assert (row[5], row[8]) == ("refused", "KRA says no.")


def test_the_template_is_a_file_that_is_taken(company: Company) -> None:
    for content in (write_csv(template_rows()), write_xlsx(template_rows(), title="Items")):
        upload = taken(company, content)
        assert (upload.status, upload.rows_wrong) == ("done", 0)
    assert Item.objects.get().name == "Brown sugar 1 kg"


def test_a_file_that_was_left_behind_goes_on_after_its_last_batch(company: Company) -> None:
    rows = good(450)
    rows[449] = ["SKU-0", *rows[449][1:]]  # stands in the first batch already
    upload = keep(company, workbook(HEADER, *rows))
    beats = iter([None, None])

    def dies() -> None:
        if next(beats, "over") == "over":
            raise ChoreLost

    with pytest.raises(ChoreLost):
        take_upload(upload.pk, dies)
    assert UploadRow.objects.count() == 400
    upload.refresh_from_db()
    assert (upload.status, upload.rows_taken) == ("reading", 400)
    take_upload(upload.pk, lambda: None)
    upload.refresh_from_db()
    assert (upload.status, *counts(upload)) == ("done", 450, 449, 0, 1)
    take_upload(upload.pk, lambda: None)
    assert UploadRow.objects.count() == 450
    assert Event.objects.filter(name="items.uploaded").count() == 1


def test_an_item_that_is_being_registered_just_now_is_told(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.catalog.uploads.PATIENCE_SECONDS", 0.0)
    taken(company, workbook(HEADER, *good(2)))
    Job.objects.filter(document_id=Item.objects.get(code="SKU-0").pk).update(state="started")
    changed = [["SKU-0", "New name", "5016150900", 1], ["SKU-1", "New name", "5016150900", 1]]
    upload = taken(company, workbook(HEADER, *changed))
    assert counts(upload) == (2, 1, 0, 1)
    assert upload.rows.get(outcome="wrong").wrongs[0][1] == "item_in_flight"


def test_a_retired_item_is_left_alone(company: Company) -> None:
    taken(company, workbook(HEADER, *good(1)))
    Item.objects.update(status="retired")
    upload = taken(company, workbook(HEADER, ["SKU-0", "Other", "5016150900", 1]))
    assert counts(upload) == (1, 0, 1, 0)
    assert upload.rows.get().outcome == "retired"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  \n ", "empty"),
        (b"%PDF-1.4", "no CSV"),
        (b"Code,Name\nA,B\n", "missing: Item class"),
        (b"hello world", "missing: Code, Name, Item class"),
        (b"x" * (11 << 20), "10 MB"),
    ],
)
def test_a_file_that_is_none_of_ours_is_not_kept(company: Company, content: bytes, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        keep(company, content)
    assert not Upload.objects.exists()


def test_a_file_that_breaks_in_the_middle_keeps_what_was_taken(company: Company) -> None:
    text = "Code,Name,Item class\n" + "".join(f"S{number},Sugar,5016150900\n" for number in range(250))
    upload = keep(company, (text + "Z," + "x" * 200_000 + ",5016150900\n").encode())
    Upload.objects.filter(pk=upload.pk).update(rows_total=251)
    take_upload(upload.pk, lambda: None)
    upload.refresh_from_db()
    assert (upload.status, upload.rows_taken) == ("failed", 200)
    assert "near line" in upload.problem


def test_old_uploads_are_forgotten_and_their_items_stay(company: Company) -> None:
    upload = taken(company, workbook(HEADER, *good(2)))
    assert forget_uploads() == 0
    Upload.objects.update(finished_at=utc_now().replace(year=2020))
    assert forget_uploads() > 0
    assert not UploadRow.objects.filter(upload=upload).exists()
    assert Item.objects.count() == 2
    assert list(read_rows(b"", "csv")) == []
