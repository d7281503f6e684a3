import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail
from django.test import Client
from django.utils import timezone

from gateway.audit.models import Event
from gateway.dashboard.accounts import SecondStep
from gateway.dashboard.second_steps import rewrap_second_steps
from gateway.tenants.models import BrowserSession, User
from gateway.tenants.sessions import SessionStore, digest_of
from tests.dashboard.conftest import PASSWORD
from tests.statements import statements

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NEW_KEY = b"another-master-key-for-the-tests"


def sign_in(browser: Client, email: str = "owner@amani.example", password: str = PASSWORD, **more: Any) -> Any:
    return browser.post("/account/login/", {"login": email, "password": password}, **more)


def code_now(secret: str = SECRET) -> str:
    return str(format_hotp_value(hotp_value(secret, list(yield_hotp_counters_from_time())[1])))


def with_second_step(user: User) -> User:
    TOTP.activate(user, SECRET)
    RecoveryCodes.activate(user)
    return user


def test_a_person_signs_in_with_address_and_password_and_lands_at_their_company(browser: Client, amani: Any) -> None:
    answer = sign_in(browser, "Owner@Amani.example", follow=True)
    assert answer.redirect_chain[-1][0] == f"/companies/{amani.company.public_id}/"
    assert "Amani Stores Ltd" in answer.content.decode()


def test_where_somebody_wanted_to_go_they_get_after_signing_in_but_never_to_another_site(
    browser: Client, amani: Any
) -> None:
    path = f"/companies/{amani.company.public_id}/people/"
    assert browser.get(path)["Location"] == f"/account/login/?next={path}"
    assert sign_in(browser, QUERY_STRING=f"next={path}")["Location"] == path
    elsewhere = sign_in(Client(), QUERY_STRING="next=https://evil.example/")
    assert elsewhere["Location"] == "/home/"


@pytest.mark.parametrize("email", ["owner@amani.example", "nobody@amani.example"])
def test_a_wrong_password_and_an_unknown_address_are_answered_alike(browser: Client, amani: Any, email: str) -> None:
    answer = sign_in(browser, email, "not the password")
    assert answer.status_code == 200
    assert "The e-mail address and the password do not fit together." in answer.content.decode()


def test_after_five_wrong_passwords_the_right_one_does_not_help_for_fifteen_minutes(
    browser: Client, amani: Any
) -> None:
    from axes.models import AccessAttempt

    for _ in range(4):
        assert sign_in(browser, password="wrong").status_code == 200
    locked = sign_in(browser, password="wrong")
    assert locked.status_code == 429 and locked["Retry-After"] == "900"
    assert "Wait 15 minutes" in locked.content.decode()
    assert sign_in(browser).status_code == 429

    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=5))
    assert "Wait 10 minutes" in sign_in(browser).content.decode()
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert sign_in(browser)["Location"] == "/home/"


def test_a_lock_is_about_one_person_at_one_address(browser: Client, amani: Any, stranger: Any) -> None:
    for _ in range(6):
        sign_in(browser, password="wrong")
    assert sign_in(Client(REMOTE_ADDR="192.0.2.7"))["Location"] == "/home/", "the owner at home"
    assert sign_in(Client(), "owner@stranger.example")["Location"] == "/home/", "a colleague in the same office"


def test_trying_one_person_from_many_addresses_is_slowed_down(amani: Any) -> None:
    for tries in range(20):
        sign_in(Client(REMOTE_ADDR=f"192.0.2.{tries}"), password="wrong")
    answer = sign_in(Client(REMOTE_ADDR="192.0.2.99"))
    assert "Too many tries in a row" in answer.content.decode()


def test_what_is_kept_of_a_wrong_password_is_not_the_password(browser: Client, amani: Any) -> None:
    from axes.models import AccessAttempt

    sign_in(browser, password="almost the password")
    row = AccessAttempt.objects.get()
    assert "almost" not in f"{row.get_data}{row.post_data}"


def test_nobody_signs_up_by_themselves(browser: Client) -> None:
    for path in ("signup/", "email/", "social/signup/", "3rdparty/", "confirm-email/"):
        assert browser.get(f"/account/{path}").status_code == 404, path
    assert User.objects.count() == 0


def test_somebody_who_is_switched_off_gets_in_no_more(browser: Client, amani: Any) -> None:
    User.objects.update(is_active=False)
    assert sign_in(browser)["Location"] == "/account/inactive/"
    assert browser.get("/home/")["Location"].startswith("/account/login/")


def test_a_password_is_set_anew_with_a_link_that_opens_once(browser: Client, amani: Any, settings: Any) -> None:
    settings.SYSTEM_URL = "https://gateway.example"
    browser.post("/account/password/reset/", {"email": "owner@amani.example"})
    (sent,) = mail.outbox
    link = re.search(r"https://gateway\.example(/account/password/reset/\S+)", str(sent.body))
    assert link and sent.to == ["owner@amani.example"]

    form = browser.get(link[1], follow=True)
    place = form.redirect_chain[-1][0]
    assert link[1] not in place, "the token leaves the address bar"
    weak = browser.post(place, {"password1": "short", "password2": "short"})
    assert "too short" in weak.content.decode()
    new = "seven quiet elephants"
    assert browser.post(place, {"password1": new, "password2": new})["Location"] == "/account/password/reset/done/"
    assert "opens nothing" in Client().get(link[1], follow=True).content.decode()
    assert sign_in(Client()).status_code == 200, "the old one"
    assert sign_in(Client(), password=new)["Location"] == "/home/"
    assert mail.outbox[-1].subject == "Your password was set anew"


def test_an_address_that_we_do_not_know_gets_no_mail_and_nobody_is_told(browser: Client, amani: Any) -> None:
    known = browser.post("/account/password/reset/", {"email": "owner@amani.example"})
    unknown = browser.post("/account/password/reset/", {"email": "nobody@amani.example"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert len(mail.outbox) == 1


def test_changing_the_password_signs_out_everywhere_else(owner_browser: Client, amani: Any) -> None:
    elsewhere = Client()
    sign_in(elsewhere)
    assert elsewhere.get("/home/", follow=True).status_code == 200
    new = "seven quiet elephants"
    told = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    owner_browser.post("/account/password/change/", told)
    assert owner_browser.get("/account/sessions/").status_code == 200
    assert BrowserSession.objects.filter(user=amani.owner).count() == 1
    assert elsewhere.get("/account/sessions/")["Location"].startswith("/account/login/")
    assert mail.outbox[-1].subject == "Your password was changed"


# The second step


def test_with_a_second_step_the_password_alone_opens_nothing(browser: Client, amani: Any) -> None:
    with_second_step(amani.owner)
    assert sign_in(browser)["Location"] == "/account/2fa/authenticate/"
    assert browser.get("/home/")["Location"].startswith("/account/login/")
    wrong = browser.post("/account/2fa/authenticate/", {"code": "000000"})
    assert "This code is not right" in wrong.content.decode()
    assert browser.post("/account/2fa/authenticate/", {"code": code_now()})["Location"] == "/home/"


def test_a_code_is_good_once(browser: Client, amani: Any) -> None:
    with_second_step(amani.owner)
    code = code_now()
    for client, place in ((browser, "/home/"), (Client(), None)):
        sign_in(client)
        assert client.post("/account/2fa/authenticate/", {"code": code}).get("Location") == place


def test_a_recovery_code_signs_in_once(amani: Any) -> None:
    with_second_step(amani.owner)
    code = RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes()[0]
    for place in ("/home/", None):
        client = Client()
        sign_in(client)
        assert client.post("/account/2fa/authenticate/", {"code": code}).get("Location") == place


def test_guessing_codes_ends_after_five(browser: Client, amani: Any) -> None:
    with_second_step(amani.owner)
    sign_in(browser)
    for _ in range(5):
        browser.post("/account/2fa/authenticate/", {"code": "000000"})
    answer = browser.post("/account/2fa/authenticate/", {"code": code_now()})
    assert "Too many tries in a row" in answer.content.decode()


def test_the_database_holds_no_secret_of_a_second_step_that_can_be_read(amani: Any) -> None:
    with_second_step(amani.owner)
    codes = RecoveryCodes(Authenticator.objects.get(type="recovery_codes"))
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in kept
    assert codes.instance.wrap().generate_codes()[0] not in kept
    assert SecondStep().decrypt(Authenticator.objects.get(type="totp").data["secret"]) == SECRET


def test_second_steps_move_to_a_new_master_key(amani: Any, settings: Any, browser: Client) -> None:
    with_second_step(amani.owner)
    settings.ENCRYPTION_KEYS = [NEW_KEY, *settings.ENCRYPTION_KEYS]
    assert list(rewrap_second_steps()) == [(2, 2)]
    settings.ENCRYPTION_KEYS = [NEW_KEY]
    sign_in(browser)
    assert browser.post("/account/2fa/authenticate/", {"code": code_now()})["Location"] == "/home/"


def test_changing_the_second_step_asks_for_the_password_again(owner_browser: Client) -> None:
    answer = owner_browser.get("/account/2fa/app/")
    assert answer["Location"].startswith("/account/reauthenticate/")


# Sessions


def test_a_session_ends_after_an_hour_without_a_request(owner_browser: Client, settings: Any) -> None:
    owner_browser.get("/home/")
    _age(owner_browser, seen=timedelta(minutes=settings.SESSION_IDLE_MINUTES + 1))
    answer = owner_browser.get("/account/sessions/", follow=True)
    assert answer.redirect_chain == [("/account/login/?next=%2Faccount%2Fsessions%2F", 302)]
    assert "You were away for a while" in answer.content.decode()


def test_a_session_ends_after_twelve_hours_however_busy(owner_browser: Client, settings: Any) -> None:
    owner_browser.get("/home/")
    _age(owner_browser, began=timedelta(hours=settings.SESSION_HOURS, minutes=1))
    assert owner_browser.get("/account/sessions/")["Location"].startswith("/account/login/")
    assert BrowserSession.objects.filter(user__isnull=False).count() == 0


def test_a_busy_session_is_written_once_a_minute(owner_browser: Client) -> None:
    owner_browser.get("/account/sessions/")
    with statements() as asked:
        owner_browser.get("/account/sessions/")
    assert not [sql for sql in asked if not sql.startswith("SELECT")]


def test_a_copy_of_the_database_opens_no_session(owner_browser: Client) -> None:
    owner_browser.get("/home/")
    cookie = owner_browser.cookies["sessionid"].value
    row = BrowserSession.objects.get()
    assert row.session_key == digest_of(cookie) and cookie not in str(vars(row))
    assert "_auth_user_id" not in row.session_data
    thief = Client()
    thief.cookies["sessionid"] = row.session_key
    assert thief.get("/home/")["Location"].startswith("/account/login/")


def test_a_session_that_does_not_open_is_no_session(owner_browser: Client, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW_KEY]
    assert owner_browser.get("/home/")["Location"].startswith("/account/login/")


def test_somebody_sees_where_they_are_signed_in_and_signs_out_there(
    owner_browser: Client, amani: Any, stranger: Any
) -> None:
    phone, strangers = Client(), Client()
    agent = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
    sign_in(phone, headers={"User-Agent": agent}, REMOTE_ADDR="192.0.2.7")
    sign_in(strangers, "owner@stranger.example")
    shown = owner_browser.get("/account/sessions/").content.decode()
    assert "Chrome on Android" in shown and "192.0.2.7" in shown and shown.count("<li>") == 2

    phones = BrowserSession.objects.get(address="192.0.2.7").session_key
    not_mine = BrowserSession.objects.get(user=stranger.owner).session_key
    assert owner_browser.post(f"/account/sessions/{not_mine}/end/").status_code == 404
    assert owner_browser.post(f"/account/sessions/{phones}/end/").status_code == 302
    assert phone.get("/home/")["Location"].startswith("/account/login/")
    sign_in(phone)
    owner_browser.post("/account/sessions/end/")
    assert phone.get("/home/")["Location"].startswith("/account/login/")
    assert strangers.get("/home/").status_code == 302 and owner_browser.get("/account/sessions/").status_code == 200


def test_pages_for_nobody_in_particular_start_no_session(browser: Client) -> None:
    for path in ("/docs/", "/account/login/", "/receipts/none/", "/nothing/"):
        browser.get(path)
    assert BrowserSession.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_journal_tells_of_passwords_second_steps_and_locks(owner_browser: Client, amani: Any) -> None:
    elsewhere = Client()
    sign_in(elsewhere)
    owner_browser.post("/account/reauthenticate/", {"password": PASSWORD})
    owner_browser.get("/account/2fa/app/")
    secret = owner_browser.session["mfa.totp.secret"]
    assert owner_browser.post("/account/2fa/app/", {"code": code_now(secret)}).status_code == 302
    assert elsewhere.get("/home/")["Location"].startswith("/account/login/"), "it began with the password alone"
    owner_browser.post("/account/2fa/codes/new/")
    owner_browser.post("/account/2fa/app/off/")
    new = "seven quiet elephants"
    owner_browser.post("/account/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    for _ in range(5):
        sign_in(Client(), password="wrong")
    told = Event.objects.filter(name__startswith="account.").order_by("pk")
    assert {event.subject for event in told} == {amani.owner.public_id}
    assert [event.name.partition(".")[2] for event in told] == [
        *("second_step_added", "second_step_added", "codes_renewed", "second_step_removed", "second_step_removed"),
        *("password_changed", "locked_out"),
    ]
    assert told[6].severity == "warning" and secret not in str(list(told.values()))


def test_staff_without_a_password_set_their_first_one_by_mail(browser: Client, db: None) -> None:
    User.objects.create_user("support@revpay.example", None)
    browser.post("/account/password/reset/", {"email": "support@revpay.example"})
    link = re.search(r"/account/password/reset/\S+-\S+/", str(mail.outbox[0].body))
    assert link
    place = browser.get(link[0], follow=True).redirect_chain[-1][0]
    browser.post(place, {"password1": "seven quiet elephants", "password2": "seven quiet elephants"})
    assert sign_in(Client(), "support@revpay.example", "seven quiet elephants")["Location"] == "/home/"


def _age(browser: Client, **ages: timedelta) -> None:
    """Make the session of a browser older than it is."""
    session = SessionStore(browser.cookies["sessionid"].value)
    for name, age in ages.items():
        session[name] = (timezone.now() - age).isoformat()
    session.save()
