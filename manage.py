#!/usr/bin/env python3
"""Run a command of the gateway: `./manage.py help` lists them."""

import base64
import gc
import os
import secrets
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

# These seal and sign nothing of ours, so they also work on a fresh clone that has no secrets yet
NEED_NO_SECRETS = {"demo", "help", "openapi", "sell"}
# As whom a command connects to PostgreSQL (settings.DATABASE_ROLES); all others are chores
ROLES = {"migrate": "owner", "secure_database": "owner", "flush": "owner", "partitions": "owner"}
ROLES |= dict.fromkeys(("serve", "run_engine", "check", "runserver"), "web")


def needs_secrets(command: str, options: list[str]) -> bool:
    """Whether it may open or seal what must be read again later."""
    is_rehearsal = command == "certify" and "--simulator" in options
    return not (is_rehearsal or command in NEED_NO_SECRETS)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run_simulator"]:
        from gateway.simulator.__main__ import main

        main(sys.argv[2:])
        sys.exit()
    if sys.argv[1:2] in (["serve"], ["run_engine"]):
        gc.disable()  # until it has loaded, see gateway.lib.memory
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    os.environ.setdefault("DATABASE_ROLE", ROLES.get("".join(sys.argv[1:2]), "chores"))
    if len(sys.argv) > 1 and not needs_secrets(sys.argv[1], sys.argv[2:]):
        os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(48))
        os.environ.setdefault("ENCRYPTION_KEY", base64.b64encode(secrets.token_bytes(32)).decode())
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"The settings are wrong: {str(error).rstrip('.')} (see docs/reference/settings.md).")
