"""The first command of a new installation."""

from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection

from gateway.catalog.models import Code
from gateway.ops.initial import remaining
from gateway.tenants.models import DataKey, User
from tests.tenants.factories import make_company

pytestmark = pytest.mark.django_db
EMAIL = "admin@revpay.example"


def run(*options: str) -> str:
    out = StringIO()
    call_command("revpay_init_system", "--admin-email", EMAIL, *options, stdout=out)
    return out.getvalue()


def test_the_first_run_makes_an_administrator_whose_password_is_shown_once() -> None:
    said = run()
    password = said.split("shown only now: ")[1].split()[0]
    admin = User.objects.get(email=EMAIL)
    assert admin.is_staff and admin.is_superuser and admin.check_password(password)
    again = run()
    assert "known, unchanged" in again and "shown only now" not in again
    assert User.objects.get(email=EMAIL).password == admin.password


def test_the_password_goes_to_the_terminal_and_into_no_log(caplog: pytest.LogCaptureFixture) -> None:
    password = run().split("shown only now: ")[1].split()[0]
    assert password not in caplog.text


def test_the_password_may_come_from_a_file_and_is_then_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("a long walk in Karura\n", encoding="utf-8")
    assert "a long walk" not in run("--admin-password-file", str(file))
    assert User.objects.get(email=EMAIL).check_password("a long walk in Karura")


@pytest.mark.parametrize("password", ["", "short", "password12345"])
def test_a_weak_password_is_refused_and_nobody_is_made(tmp_path: Path, password: str) -> None:
    file = tmp_path / "password"
    file.write_text(password, encoding="utf-8")
    with pytest.raises(CommandError, match="password"):
        run("--admin-password-file", str(file))
    assert not User.objects.exists()


def test_a_known_person_becomes_administrator_and_keeps_the_password() -> None:
    User.objects.create_user(EMAIL, "a long walk in Karura")
    assert "promoted" in run()
    admin = User.objects.get(email=EMAIL)
    assert admin.is_superuser and admin.check_password("a long walk in Karura")


def test_both_environments_get_kras_code_tables_and_what_was_fetched_stays() -> None:
    Code.objects.create(environment="sandbox", code_class="04", code="E", name="E-0%", value="0")
    run()
    rates = dict(Code.objects.filter(code_class="04", environment="sandbox").values_list("code", "value"))
    assert rates == {"A": "0", "B": "16", "C": "0", "D": "0", "E": "0"}
    assert Code.objects.get(code_class="04", environment="production", code="E").value == "8"
    before = list(Code.objects.order_by("pk").values())
    assert "codes           sandbox: known" in run()
    assert list(Code.objects.order_by("pk").values()) == before


def test_every_company_gets_its_data_key() -> None:
    make_company()
    DataKey.objects.all().delete()
    assert "open for 1 companies, 1 made" in run()
    assert DataKey.objects.count() == 1
    assert "made\n" not in run().split("administrator")[0]


def test_another_master_key_is_noticed_before_anything_is_made(settings: LazySettings) -> None:
    make_company()
    settings.ENCRYPTION_KEYS = [b"x" * 32]
    with pytest.raises(CommandError, match="does not open the keys of 1 of 1"):
        run()
    assert not User.objects.filter(email=EMAIL).exists()


def test_a_database_that_is_behind_is_named_before_anything_is_made() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'reports'")
    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        run()
    assert not User.objects.exists()


def test_what_remains_to_be_set_is_said_and_ends_when_it_is_set(settings: LazySettings) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["localhost", "127.0.0.1"]
    said = run()
    for name in ("DEBUG", "ALLOWED_HOSTS", "SYSTEM_URL", "EMAIL_HOST", "ADMINS"):
        assert f"to do           {name}" in said
    settings.DEBUG = settings.OPEN_ONBOARDING = False
    settings.SECRET_KEY, settings.ENCRYPTION_KEYS = "kD8sLq0ZpW3xVb6NtY1mRf9HcJ5gAeUo4iTB", [bytes(range(32))]
    settings.ALLOWED_HOSTS, settings.SYSTEM_URL = ["etims.revpay.example"], "https://etims.revpay.example"
    settings.EMAIL_HOST, settings.ADMINS = "mail.revpay.example", [("ops", "ops@revpay.example")]
    settings.RUN_SCHEDULER = True
    assert list(remaining()) == []
