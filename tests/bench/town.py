"""Fill a migrated database with companies whose devices are active, without asking KRA; prints one shop a line (JSON).

`python -m tests.bench.town --companies 100 --branches 20 < keys.json`. Standard input is an object: the communication
key of a branch by `PIN/branch`; a branch that is not in it gets one of its own.
"""

import argparse
import hashlib
import json
import os
import secrets
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import django

BATCH = 500
ITEM = "KE2NTTU0000001"


def pin_of(number: int) -> str:
    return f"P{number:09d}B"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.town", description=__doc__)
    parser.add_argument("--companies", type=int, required=True)
    parser.add_argument("--branches", type=int, required=True, help="of each company")
    parser.add_argument("--first", type=int, default=1, help="number of the first company")
    chosen = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    django.setup()
    keys: dict[str, str] = json.load(sys.stdin)
    end = chosen.first + chosen.companies
    for begin in range(chosen.first, end, BATCH):
        for shop in settle(range(begin, min(begin + BATCH, end)), chosen.branches, keys):
            print(json.dumps(shop))


def settle(numbers: range, branches: int, keys: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Some companies in one transaction."""
    from django.db import transaction

    from gateway.catalog.models import Item
    from gateway.devices.models import Device, Stage
    from gateway.lanes.models import Lane
    from gateway.tenants.models import ApiKey, Branch, Company, DataKey
    from gateway.tenants.services import PREFIX_LENGTH
    from gateway.tenants.vault import device_key_aad, seal_wrapped, wrapped_key

    texts = {number: f"rvp_sbx_{secrets.token_urlsafe(32)}" for number in numbers}
    with transaction.atomic():
        companies = Company.objects.bulk_create(
            Company(pin=pin_of(number), name=f"Shop {number} Ltd") for number in numbers
        )
        keys_of = {company.pk: wrapped_key(company.public_id) for company in companies}
        DataKey.objects.bulk_create(DataKey(company=company, wrapped=keys_of[company.pk]) for company in companies)
        Stage.objects.bulk_create(Stage(company=company, environment="sandbox") for company in companies)
        ApiKey.objects.bulk_create(
            ApiKey(
                company=company,
                environment="sandbox",
                role="owner",
                prefix=texts[number][:PREFIX_LENGTH],
                digest=hashlib.sha256(texts[number].encode()).hexdigest(),
            )
            for number, company in zip(numbers, companies, strict=True)
        )
        Item.objects.bulk_create(
            Item(
                company=companies[0],
                environment="sandbox",
                code=f"ITEM-{place}",
                name=f"Thing {place} of the shelf",
                tax_type="B",
                item_class="5016150900",
                packaging_unit="NT",
                quantity_unit="TU",
                kra_code=ITEM,
                status="registered",
            )
            for place in range(1, 6)
        )
        give_items(companies[0].pk, [company.pk for company in companies[1:]])
        codes = [f"{place:02d}" for place in range(branches)]
        places = Branch.objects.bulk_create(
            Branch(company=company, code=code, name=f"Branch {code}") for company in companies for code in codes
        )
        lanes = Lane.objects.bulk_create(
            Lane(
                company=place.company, environment="sandbox", pin=place.company.pin, branch=place.code, series="invoice"
            )
            for place in places
        )
        devices = []
        for place, lane in zip(places, lanes, strict=True):
            public_id, name = uuid.uuid4(), f"{place.company.pin}/{place.code}"
            key = keys.get(name) or secrets.token_hex(16)
            devices.append(
                Device(
                    public_id=public_id,
                    company=place.company,
                    branch=place,
                    environment="sandbox",
                    serial=f"oscu_direct-{place.company.pin}-{place.code}",
                    profile="simulator",
                    lane=lane,
                    status=Device.Status.ACTIVE,
                    control_unit_id="SIMCU0100000001",
                    sealed_key=seal_wrapped(
                        keys_of[place.company_id], place.company.public_id, device_key_aad(public_id), key.encode()
                    ),
                )
            )
        Device.objects.bulk_create(devices)
    of_pin = dict(zip((company.pin for company in companies), texts.values(), strict=True))
    for device in devices:
        pin = device.company.pin
        yield {"key": of_pin[pin], "pin": pin, "branch": device.branch.code, "device": str(device.public_id)}


def give_items(model: int, companies: list[int]) -> None:
    """The items of one company to others: half of all rows, and all alike."""
    from django.db import connection

    from gateway.catalog.models import Item

    is_sqlite = connection.vendor == "sqlite"
    own = {"public_id": "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()", "company_id": "c.id"}
    names = [str(field.column) for field in Item._meta.concrete_fields if not field.primary_key]
    values = ", ".join(own.get(name, f"i.{name}") for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO catalog_item ({', '.join(names)}) SELECT {values} FROM catalog_item i, tenants_company c "
            f"WHERE i.company_id = {model} AND c.id IN ({', '.join(map(str, companies)) or 'NULL'})"
        )


if __name__ == "__main__":
    main()
