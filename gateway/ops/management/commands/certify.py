"""KRA's certification run: `manage.py certify --simulator`, or the same against KRA's sandbox."""

import re
import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway.devices.queries import SIMULATOR_PROFILES, app_for
from gateway.kra.profiles import Flavour, Profile
from gateway.lib.clock import NAIROBI, utc_now
from gateway.ops import certify
from gateway.ops.certify_key import KeyFileTrouble
from gateway.ops.certify_run import Result
from gateway.ops.certify_shop import SIMULATED_BUYER, SIMULATED_TAXPAYER
from gateway.ops.children import ChildDied
from gateway.ops.demo import DemoFailed
from gateway.sales.receipts.logos import BadLogo, Logos, logo_file

_NEEDED = ("pin", "serial", "buyer_pin", "buyer_name")


class Command(BaseCommand):
    help = "Perform KRA's 23 test cases and the credit note, and write the evidence. Exit code: 0 all passed, else 1."
    requires_system_checks = ()  # it uses no database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--flavour", choices=[str(flavour) for flavour in Flavour], default="gavaconnect")
        parser.add_argument("--simulator", action="store_true", help="rehearse against a simulator of its own")
        parser.add_argument(
            "--base-url", default="", help="where KRA's sandbox is, if not at the profile's own address"
        )
        parser.add_argument("--token-url", default="", help="where GavaConnect gives tokens, likewise")
        parser.add_argument("--pin", default="", help="of the taxpayer")
        parser.add_argument("--branch", default="00", help="two digits (%(default)s)")
        parser.add_argument("--serial", default="", help="of the device that KRA approved")
        parser.add_argument("--name", default=SIMULATED_TAXPAYER[1], help="of the taxpayer, on the printed invoice")
        parser.add_argument("--address", default=SIMULATED_TAXPAYER[2], help="of the shop, on the printed invoice")
        parser.add_argument("--buyer-pin", default="", help="a PIN that KRA knows, to sell to")
        parser.add_argument("--buyer-name", default="", help="the name that goes with it")
        parser.add_argument("--key-file", type=Path, help="where the device's key and next numbers are kept")
        parser.add_argument("--out", type=Path, help="folder of the evidence; it must be empty or not be there")
        parser.add_argument("--yes", action="store_true", help="do not ask before initialising a real device")

    def handle(self, *, flavour: str, simulator: bool, **options: Any) -> None:
        try:
            results = _run(Flavour(flavour), simulator, options, say=self.stdout.write)
        except (certify.CannotCertify, KeyFileTrouble, DemoFailed, ChildDied) as trouble:
            raise CommandError(str(trouble)) from trouble
        sys.exit(0 if certify.all_passed(results) else 1)


def _run(flavour: Flavour, rehearse: bool, options: dict[str, Any], *, say: certify.Say) -> list[Result]:
    rehearse = rehearse or (not options["base_url"] and settings.KRA_SANDBOX_PROFILE in SIMULATOR_PROFILES)
    with ExitStack() as stack:
        if rehearse:
            own = certify.simulated(
                flavour,
                lambda profile, folder: _plan(profile, _simulated(options, folder)),
                options=settings.KRA_SANDBOX_OPTIONS,
            )
            plan = stack.enter_context(own)
        else:
            if missing := [f"--{name.replace('_', '-')}" for name in _NEEDED if not options[name]]:
                raise certify.CannotCertify(f"Against KRA's sandbox these are needed: {', '.join(missing)}.")
            profile = certify.sandbox_profile(
                flavour,
                base_url=options["base_url"] or _own_base_url(flavour),
                token_url=options["token_url"],
                options=settings.KRA_SANDBOX_OPTIONS,
            )
            plan = _plan(profile, options)
        return certify.certify(plan, say=say)


def _own_base_url(flavour: Flavour) -> str:
    """The setting's address, when the setting is about this flavour."""
    url: str = settings.KRA_SANDBOX_BASE_URL
    is_meant = settings.KRA_SANDBOX_PROFILE == f"{flavour}_sandbox"  # noqa: SIM300
    return url if is_meant else ""


def _simulated(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The options with a made-up shop where nothing was said, and nothing kept of a device that exists only now."""
    return {
        **options,
        "pin": options["pin"] or SIMULATED_TAXPAYER[0],
        "serial": options["serial"] or f"{options['pin'] or SIMULATED_TAXPAYER[0]}-{options['branch']}-01",
        "buyer_pin": options["buyer_pin"] or SIMULATED_BUYER[0],
        "buyer_name": options["buyer_name"] or SIMULATED_BUYER[1],
        "key_file": folder / "key.json",
        "yes": True,
    }


def _plan(profile: Profile, options: dict[str, Any]) -> certify.Plan:
    who = "-".join((options["pin"], options["branch"], re.sub(r"[^\w.-]", "_", options["serial"])))
    folder = settings.VAR_DIR / "certify"
    started = utc_now().astimezone(NAIROBI)
    return certify.Plan(
        profile=profile,
        app=certify.SIMULATED_APP if profile.environment == "simulator" else app_for(profile),
        pin=options["pin"],
        branch=options["branch"],
        serial=options["serial"],
        seller=options["name"],
        address=options["address"],
        buyer=(options["buyer_pin"], options["buyer_name"]),
        folder=(options["out"] or folder / f"{started:%Y%m%d-%H%M%S}-{profile.name}").absolute(),
        key_file=options["key_file"] or folder / "keys" / f"{profile.name}-{who}.json",
        master_keys=tuple(settings.ENCRYPTION_KEYS),
        may_initialise=(lambda question: True) if options["yes"] else _ask,
        logos=Logos(kra=_kra_logo()),
    )


def _kra_logo() -> bytes:
    try:
        return logo_file(settings.KRA_LOGO)
    except (BadLogo, OSError) as error:
        raise certify.CannotCertify(f"KRA_LOGO cannot be used: {error}") from error


def _ask(question: str) -> bool:
    """Whether a person at a terminal says yes; nobody there is a no."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} KRA gives its key once. Type yes: ").strip().lower() == "yes"
