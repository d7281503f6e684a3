"""Serve the plain way: `python -m tests.bench.plain --port N`; standard input has one shop a line, as JSON."""

import argparse
import json
import os
import sys

import uvicorn
from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

THREADS = 64  # each waits for KRA; with fewer the threads are the limit


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plain", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.plain.settings"
    application = WSGIMiddleware(get_wsgi_application(), workers=THREADS)  # type: ignore[arg-type]
    from django.db import connection

    from tests.bench.plain.models import Device, Sale

    with connection.schema_editor() as editor:
        editor.create_model(Device)
        editor.create_model(Sale)
    shops = [json.loads(line) for line in sys.stdin]
    Device._default_manager.bulk_create(
        Device(name=shop["device"], pin=shop["pin"], branch=shop["branch"]) for shop in shops
    )
    connection.close()
    uvicorn.run(application, port=chosen.port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
