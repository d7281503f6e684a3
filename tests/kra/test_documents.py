import pytest

from gateway.kra.branch_documents import BranchUser
from gateway.kra.documents import AppCredentials, Credentials, FoundInvoice, RawActivation
from gateway.kra.wire.basics import read_activation

SECRET = "PLANTED"
INFO = {"tin": "P051234567X", "sdcId": "KRACU1", "cmcKey": SECRET, "intrlKey": SECRET, "signKey": SECRET}
THINGS = [
    Credentials("P051234567X", "00", SECRET),
    AppCredentials(SECRET, SECRET, "app-1"),
    BranchUser(user_id="cashier1", name="Till One", password=SECRET),
    read_activation({"data": {"info": INFO}}),
    RawActivation(body=SECRET.encode(), http_status=200, content_type="", exchange=None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_nothing_that_holds_a_secret_shows_it(thing):
    shown = [repr(thing), str(thing), f"{thing}"]
    if hasattr(thing, "__rich_repr__"):
        shown.append(repr(list(thing.__rich_repr__())))
    assert SECRET not in "".join(shown)


@pytest.mark.parametrize(("remark", "tag"), [("Deliver on Monday rv:1", "rv:1"), ("rv:1", "rv:1"), ("", "")])
def test_the_tag_is_the_last_word_of_the_remark(remark, tag):
    values = dict.fromkeys(FoundInvoice.__struct_fields__)
    assert FoundInvoice(**{**values, "remark": remark}).tag == tag
