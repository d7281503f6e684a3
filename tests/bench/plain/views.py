"""The one view."""

import http.client
import json
import os
import threading
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.bench.plain.models import Device, Sale

_lines = threading.local()


def call_kra(body: dict[str, Any]) -> dict[str, Any]:
    """One call on this thread's kept connection."""
    line: http.client.HTTPConnection | None = getattr(_lines, "one", None)
    if line is None:
        address = urlsplit(os.environ["PLAIN_KRA_URL"])
        line = _lines.one = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    text = json.dumps(body, separators=(",", ":"))
    line.request("POST", "/saveTrnsSalesOsdc", text, {"Content-Type": "application/json"})
    read: dict[str, Any] = json.loads(line.getresponse().read())
    return read


def sell(request: HttpRequest) -> JsonResponse:
    """Keep the sale, have it signed, keep the receipt."""
    content = json.loads(request.body)
    with transaction.atomic():
        device = Device._default_manager.select_for_update().get(name=content["device"])
        sale = Sale._default_manager.create(device=device, reference=content["reference"], content=content)
        sale.number = device.next_number
        body = {"tin": device.pin, "bhfId": device.branch, "invcNo": sale.number, "itemList": content["lines"]}
        answer = call_kra(body)
        if answer["resultCd"] != "000":
            return JsonResponse(answer, status=422)
        sale.status, sale.receipt = "signed", answer["data"]
        sale.save()
        device.next_number += 1
        device.save()
    return JsonResponse({"reference": sale.reference, "status": sale.status, "receipt": sale.receipt}, status=201)


urlpatterns = [path("api/sales/", sell)]
