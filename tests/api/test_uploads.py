import io
import uuid
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from gateway.catalog.models import ItemClass, Upload
from gateway.catalog.uploads import take_upload
from gateway.devices.onboarding import Onboarded
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.tenants.factories import key_with, make_stranger

pytestmark = pytest.mark.django_db
PATH = "/api/items/uploads/"
FILE = b"Code,Name,Item class,Price\nA,Sugar,5016150900,10\nB,Salt,999,10\n"


@pytest.fixture(autouse=True)
def classes(db: None) -> None:
    ItemClass.objects.create(environment="sandbox", code="5016150900", name="Sugars", level=5, tax_type="B")


def send(key: str, content: bytes = FILE, name: str = "items.csv") -> Any:
    file = SimpleUploadedFile(name, content)
    client = Client(raise_request_exception=False)
    return client.post(PATH, {"file": file}, headers={"Authorization": f"Token {key}"})


@pytest.fixture
def sent(amani: Onboarded) -> Upload:
    assert send(amani.key_text).status_code == 202
    upload = Upload.objects.get()
    take_upload(upload.pk, lambda: None)
    return upload


def test_a_file_is_taken_and_followed(owner: Caller, amani: Onboarded) -> None:
    kept = send(amani.key_text)
    assert kept.status_code == 202
    assert (kept.json()["status"], kept.json()["rows"]["total"]) == ("waiting", None)
    path = f"{PATH}{kept.json()['id']}/"
    take_upload(Upload.objects.get().pk, lambda: None)
    answer = owner.get(path).json()
    assert answer["status"] == "done"
    assert answer["file_name"] == "items.csv"
    assert answer["rows"] == {"total": 2, "read": 2, "taken": 1, "unchanged": 0, "wrong": 1}
    assert answer["items"] == {"waiting": 1, "registered": 0, "refused": 0, "retired": 0}
    assert answer["result_url"] == f"{path}result/"


def test_the_result_comes_as_csv_and_as_workbook(owner: Caller, sent: Upload) -> None:
    path = f"{PATH}{sent.public_id}/result/"
    text = owner.get(path, {"format": "csv"})
    assert text["Content-Disposition"].endswith('.csv"')
    assert b"no item class 999" in text.content
    sheet = openpyxl.load_workbook(io.BytesIO(owner.get(path).content)).active
    assert [cell.value for cell in sheet["A"]] == ["Row", "2", "3"]
    assert owner.get(path, {"format": "csv", "only_wrong": "true"}).content.count(b"\n") == 2


def test_the_template_comes_as_csv_and_as_workbook(owner: Caller) -> None:
    assert owner.get(f"{PATH}template/", {"format": "csv"}).content.startswith(b"\xef\xbb\xbfCode,Name,Item class")
    sheet = openpyxl.load_workbook(io.BytesIO(owner.get(f"{PATH}template/").content)).active
    assert sheet["A1"].value == "Code"
    assert fields(owner.get(f"{PATH}template/", {"format": "pdf"})) == {"format": "unknown_value"}


def test_uploads_are_listed_newest_first_in_pages(owner: Caller, amani: Onboarded) -> None:
    assert owner.get(PATH).json() == {"uploads": [], "next": None}
    ids = [send(amani.key_text).json()["id"] for _ in range(3)]
    first = owner.get(PATH, {"limit": 2}).json()
    second = owner.get(PATH, {"limit": 2, "cursor": first["next"]}).json()
    assert [one["id"] for one in first["uploads"] + second["uploads"]] == ids[::-1]
    assert second["next"] is None
    problem(owner.get(PATH, {"cursor": "x"}), 422, "bad_cursor")
    assert fields(owner.get(PATH, {"limt": 2})) == {"limt": "unknown_field"}


@pytest.mark.parametrize(
    ("content", "name"), [(b"Code,Nam\n", "x.csv"), (b"%PDF-1", "x.pdf"), (b"PK\x03\x04no", "x.xlsx")]
)
def test_a_file_that_cannot_be_read_is_told(amani: Onboarded, content: bytes, name: str) -> None:
    assert fields(send(amani.key_text, content, name)) == {"file": "bad_file"}


def test_a_request_without_a_file_is_told(owner: Caller, amani: Onboarded) -> None:
    headers = {"Authorization": f"Token {amani.key_text}"}
    assert fields(Client().post(PATH, {}, headers=headers)) == {"file": "missing"}
    assert problem(owner.post(PATH, {}), 422, "invalid")


def test_a_file_over_ten_megabytes_is_too_large(amani: Onboarded) -> None:
    content = b"Code,Name,Item class\n" + b"A,B,5016150900\n" * 800_000
    document = problem(send(amani.key_text, content), 413, "too_large")
    assert "10 MB" in document["detail"]


def test_a_file_over_one_megabyte_is_taken(amani: Onboarded) -> None:
    content = b"Code,Name,Item class\n" + b"".join(b"A%d,Sugar,5016150900\n" % number for number in range(49_000))
    assert len(content) > 1_048_576
    assert send(amani.key_text, content).status_code == 202


def test_a_stranger_sees_nothing_of_it(sent: Upload) -> None:
    stranger = Caller(make_stranger().key_text)
    problem(stranger.get(f"{PATH}{sent.public_id}/"), 404, "not_found")
    problem(stranger.get(f"{PATH}{sent.public_id}/result/"), 404, "not_found")
    assert stranger.get(PATH).json()["uploads"] == []
    problem(stranger.get(f"{PATH}{uuid.uuid4()}/"), 404, "not_found")


@pytest.mark.parametrize("role", [Role.CASHIER, Role.ACCOUNTANT, Role.VIEWER])
def test_only_owners_and_managers_upload(amani: Onboarded, role: Role, sent: Upload) -> None:
    key = key_with(amani.company, role)[1]
    problem(send(key), 403, "role_not_allowed")
    assert Caller(key).get(f"{PATH}{sent.public_id}/").status_code == 200
