from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from gateway.devices.onboarding import Onboarded
from gateway.tenants.models import ApiKey, Member, OperatorRole, Role
from gateway.tenants.rights import RIGHTS, Right, may, rights_of
from gateway.tenants.services import add_member, make_api_key
from tests.docs.pages import read, sections, table_rows
from tests.tenants.factories import make_company

ROLES = "docs/reference/roles.md"
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def test_every_right_has_a_row_with_words_and_somebody_who_has_it() -> None:
    assert set(RIGHTS) == set(Right)
    assert all(grant.words and (grant.roles or grant.operators) for grant in RIGHTS.values())


def test_a_revenue_officer_and_a_viewer_only_look() -> None:
    assert rights_of(Role.REVENUE_OFFICER) == {Right.READ, Right.EXPORT, Right.READ_JOURNAL}
    assert rights_of(Role.VIEWER) == {Right.READ}


def test_an_owner_may_do_all_that_anybody_of_the_company_may() -> None:
    assert rights_of(Role.OWNER) == {right for right, grant in RIGHTS.items() if grant.roles}


def test_a_cashier_sells_and_closes_the_day_and_changes_nothing_else() -> None:
    assert rights_of(Role.CASHIER) == {Right.READ, Right.SELL, Right.CLOSE_DAY}


def test_only_an_admin_of_the_staff_changes_a_companys_status_and_read_only_staff_changes_nothing() -> None:
    assert [role for role in OperatorRole if may(role, Right.SET_COMPANY_STATUS)] == [OperatorRole.ADMIN]
    assert rights_of(OperatorRole.READ_ONLY) == {Right.READ_COMPANIES, Right.READ_JOURNAL}
    assert not rights_of("janitor")


@pytest.mark.parametrize(("title", "roles"), [("In a company", Role), ("Of the staff", OperatorRole)])
def test_the_page_of_roles_shows_the_table(title: str, roles: type[Role] | type[OperatorRole]) -> None:
    shown = {row[0].strip("`"): row[1:] for row in table_rows(sections(ROLES)[title])}
    held = {right: grant.roles if roles is Role else grant.operators for right, grant in RIGHTS.items()}
    assert shown == {
        right.value: [RIGHTS[right].words, *("yes" if role in held[right] else "" for role in roles)]
        for right in Right
        if held[right]
    }
    header = next(line for line in read(ROLES).partition(f"## {title}")[2].splitlines() if line.startswith("|"))
    assert [cell.strip().strip("`") for cell in header.strip("|").split("|")][2:] == [str(role) for role in roles]


@pytest.mark.django_db
def test_a_revenue_officer_has_a_day_to_leave(db: None) -> None:
    made: Onboarded = make_company()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_api_key(made.company, "sandbox", Role.REVENUE_OFFICER)
    with pytest.raises(IntegrityError), transaction.atomic():
        add_member(made.company, email="officer@kra.example", name="Officer", role=Role.REVENUE_OFFICER)
    make_api_key(made.company, "sandbox", Role.REVENUE_OFFICER, expires_at=NOW + timedelta(days=30))
    add_member(made.company, email="officer@kra.example", name="Officer", role=Role.REVENUE_OFFICER, expires_at=NOW)
    assert ApiKey.objects.filter(role=Role.REVENUE_OFFICER).count() == 1
    assert Member.objects.get(user__email="officer@kra.example").expires_at == NOW
