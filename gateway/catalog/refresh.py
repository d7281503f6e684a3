"""Keep KRA's lists fresh: what everybody shares once an environment, branches once a company."""

import logging
from collections import Counter

from gateway.catalog.reference import BRANCHES, CLASSES, CODES, NOTICES, fetch_reference_data
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile
from gateway.kra.errors import KraError
from gateway.lib.clock import utc_now
from gateway.lib.crypto import SealBroken

MOST_FAILURES = 5  # in a row; then KRA's host is away, and the other devices of the environment would only wait for it
SHARED = (CODES, CLASSES, NOTICES)

log = logging.getLogger(__name__)


def refresh_reference_data() -> None:
    """Fetch codes, classification, notices and branches by delta. A second run finds nothing new.

    A device that KRA does not answer now is passed over; the next run asks again.
    """
    done: set[str] = set()
    known: set[tuple[int, str]] = set()
    failures: Counter[str] = Counter()
    devices = Device.objects.select_related("company", "branch", "lane").filter(status=Device.Status.ACTIVE)
    for device in devices.order_by("pk"):
        environment, company = str(device.environment), (device.company_id, str(device.environment))
        only = [*([] if environment in done else SHARED), *([] if company in known else [BRANCHES])]
        if not only or failures[environment] >= MOST_FAILURES:
            continue
        try:
            fetch_reference_data(device, now=utc_now(), only=only)
        except (KraError, WrongProfile, SealBroken) as error:
            log.warning("KRA's lists were not refreshed through %s: %s", device.serial, error)
            failures[environment] += 1
            continue
        failures[environment] = 0
        done.add(environment)
        known.add(company)
