import pytest
from django.conf import LazySettings

from gateway.lib.crypto import SealBroken, UnknownKey
from gateway.tenants.models import DataKey
from gateway.tenants.vault import device_key_aad, make_data_key, open_for, open_wrapped, seal_for
from tests.tenants.factories import make_company, make_stranger

pytestmark = pytest.mark.django_db
NEW = bytes(range(32))


def test_a_company_reads_what_was_sealed_for_it() -> None:
    company = make_company().company
    sealed = seal_for(company, b"row", b"secret")
    assert open_for(company, b"row", sealed) == b"secret"


def test_a_strangers_data_key_opens_nothing() -> None:
    company, stranger = make_company().company, make_stranger().company
    with pytest.raises(SealBroken):
        open_for(stranger, b"row", seal_for(company, b"row", b"secret"))


def test_a_data_key_copied_to_another_company_opens_nothing() -> None:
    company, stranger = make_company().company, make_stranger().company
    sealed = seal_for(company, b"row", b"secret")
    DataKey.objects.filter(company=stranger).update(wrapped=DataKey.objects.get(company=company).wrapped)
    with pytest.raises(SealBroken):
        open_for(stranger, b"row", sealed)


def test_columns_are_enough_to_open_a_devices_key() -> None:
    made = make_company()
    aad = device_key_aad(made.device.public_id)
    sealed = seal_for(made.company, aad, b"cmc")
    wrapped = bytes(DataKey.objects.get(company=made.company).wrapped)
    assert open_wrapped(wrapped, made.company.public_id, aad, sealed) == b"cmc"


def test_a_second_data_key_is_never_made() -> None:
    company = make_company().company
    first = bytes(DataKey.objects.get(company=company).wrapped)
    assert bytes(make_data_key(company).wrapped) == first


def test_old_records_open_after_a_new_master_key_came(settings: LazySettings) -> None:
    company = make_company().company
    sealed = seal_for(company, b"row", b"secret")
    settings.ENCRYPTION_KEYS = [NEW, *settings.ENCRYPTION_KEYS]
    assert open_for(company, b"row", sealed) == b"secret"
    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(UnknownKey):
        open_for(company, b"row", sealed)
