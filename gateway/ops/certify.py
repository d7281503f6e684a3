"""KRA's certification run: every test case in order, a table of what passed, and a folder of evidence.

It speaks the protocol directly, without the gateway's database. Against the simulator it needs nothing; against KRA's
sandbox a device that KRA approved, and for GavaConnect the app's credentials. It never speaks to production.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.kra.client import Client
from gateway.kra.documents import Activation, AppCredentials
from gateway.kra.errors import KraError
from gateway.kra.options import without_gateway
from gateway.kra.profiles import Flavour, Profile, host_of, profile, simulator
from gateway.kra.sessions import open_session
from gateway.lib.clock import utc_now
from gateway.ops import certify_evidence as evidence
from gateway.ops import demo
from gateway.ops.certify_cases import CASES, play
from gateway.ops.certify_key import KeyFile
from gateway.ops.certify_run import Result, Run, Status
from gateway.ops.children import free_port
from gateway.sales.receipts.logos import NO_LOGOS, Logos

SIMULATED_APP = AppCredentials("sim-consumer", "sim-secret", "sim-app")

Say = Callable[[str], None]


class CannotCertify(Exception):
    """The run cannot begin; the message says what is missing or wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who is certified, over which profile, and where the evidence goes. `buyer` is PIN and name."""

    profile: Profile
    app: AppCredentials | None
    pin: str
    branch: str
    serial: str
    seller: str
    address: str
    buyer: tuple[str, str]
    folder: Path
    key_file: Path
    master_keys: tuple[bytes, ...]
    may_initialise: Callable[[str], bool]
    logos: Logos = NO_LOGOS


def sandbox_profile(
    flavour: Flavour, *, base_url: str = "", token_url: str = "", options: dict[str, str | int] | None = None
) -> Profile:
    """KRA's sandbox in that flavour. Raises CannotCertify for an address of production or a value that cannot be."""
    chosen = dict(options or {}) if flavour is Flavour.GAVACONNECT else without_gateway(options or {})
    urls = {"base_url": base_url, "token_url": token_url}
    try:
        return profile(f"{flavour}_sandbox", **{**chosen, **{name: url for name, url in urls.items() if url}})
    except ValueError as error:
        raise CannotCertify(str(error)) from error


@contextmanager
def simulated(
    flavour: Flavour, plan: Callable[[Profile, Path], Plan], *, options: dict[str, str | int] | None = None
) -> Iterator[Plan]:
    """A plan against a simulator of its own, which runs until the block ends and has approved the device.

    `plan` is handed the simulator's profile and a folder for what need not be kept.
    """
    chosen = dict(options or {}) if flavour is Flavour.GAVACONNECT else without_gateway(options or {})
    chosen.pop("token_url", None)
    with tempfile.TemporaryDirectory(prefix="certify-") as name:
        folder, port = Path(name), free_port()
        origin = f"http://127.0.0.1:{port}"
        arguments = ["-m", "gateway.simulator", "--port", str(port), "--state", str(folder / "state.sqlite3")]
        with demo.server(
            "The simulated KRA",
            arguments,
            log=folder / "simulator.log",
            environment=dict(os.environ),
            health=f"{origin}/_sim/health",
        ):
            made = plan(simulator(flavour, origin, **chosen), folder)
            reading = {"profile": made.profile.amount_profile}
            demo.expect(demo.call("POST", f"{origin}/_sim/settings", reading), 200, what="The settings")
            approve(origin, made)
            yield made


def approve(origin: str, plan: Plan) -> None:
    """Have a simulator approve the plan's device, and know its buyer. A second time changes nothing."""
    kind = "vscu" if plan.profile.flavour is Flavour.VSCU else "oscu"
    buyer_pin, buyer_name = plan.buyer
    for body in (
        {"pin": plan.pin, "branch": plan.branch, "serial": plan.serial, "kind": kind, "name": plan.seller},
        {"pin": buyer_pin, "branch": "00", "serial": f"{buyer_pin}-00", "kind": "oscu", "name": buyer_name},
    ):
        demo.expect(demo.call("POST", f"{origin}/_sim/devices", body), 200, what="The approval of a device")


def certify(plan: Plan, *, say: Say, now: Callable[[], datetime] = utc_now) -> list[Result]:
    """Run all cases and write the evidence; the results in the order of the run.

    Raises CannotCertify before anything is sent, KeyFileTrouble for a key file that cannot be used.
    """
    if plan.folder.exists() and any(plan.folder.iterdir()):
        raise CannotCertify(f"{plan.folder} is not empty: evidence of two runs must not be mixed. Choose another.")
    if plan.profile.flavour is Flavour.GAVACONNECT and plan.app is None:
        raise CannotCertify(
            "GavaConnect needs the app's credentials: KRA_APP_CONSUMER_KEY, KRA_APP_CONSUMER_SECRET, KRA_APP_ID."
        )
    key_file = KeyFile(
        plan.key_file, pin=plan.pin, branch=plan.branch, serial=plan.serial, master_keys=plan.master_keys
    )
    question = (
        f"Initialise device {plan.serial} of {plan.pin}, branch {plan.branch}, at {host_of(plan.profile.base_url)}?"
    )
    if not key_file.is_activated and not plan.may_initialise(question):
        raise CannotCertify("Nothing was sent: the device was not to be initialised.")
    plan.folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_certify(plan, key_file, say, now))


async def _certify(plan: Plan, key_file: KeyFile, say: Say, now: Callable[[], datetime]) -> list[Result]:
    results: list[Result] = []
    async with open_session() as session:
        run = Run(
            client=Client(plan.profile, session=session, app=plan.app),
            key_file=key_file,
            activate=_activate,
            pin=plan.pin,
            branch=plan.branch,
            serial=plan.serial,
            buyer=plan.buyer,
            started=now(),
            now=now,
        )
        say(next(evidence.table([])))
        for case in CASES:
            result = await play(run, case)
            results.append(result)
            if result.status is not Status.NOT_OFFERED:
                evidence.write_case(plan.folder, result, plan.profile)
            say(evidence.line(result))
    papers = evidence.write_papers(plan.folder, run, seller=plan.seller, address=plan.address, logos=plan.logos)
    uploads = evidence.write_uploads(plan.folder)
    evidence.write_summary(plan.folder, run, results, papers=papers, uploads=uploads)
    say(f"\n{evidence.counted(results)}. Evidence: {plan.folder / evidence.SUMMARY}")
    return results


async def _activate(run: Run) -> Activation:
    """The device's activation: the one that is kept, else the one call that KRA allows, stored before it is read."""
    kept, flavour = run.key_file, run.client.profile.flavour
    if not kept.is_activated:
        kept.intend(run.now())
        try:
            raw = await run.client.initialize_device(run.pin, run.branch, run.serial)
            kept.keep(raw)
            activation = kept.activation(flavour)
        except KraError as error:
            if error.exchange is None and kept.exchange is not None:
                error.exchange = msgspec.structs.replace(kept.exchange, code=error.code, message=error.message)
            kept.forget(error)
            raise
        run.keep(msgspec.structs.replace(raw.exchange, outcome="done", code="000"))
    else:
        activation = kept.activation(flavour)
        if kept.exchange is not None:
            run.keep(msgspec.structs.replace(kept.exchange, outcome="done", code="000"))
            run.note("The device was initialised by an earlier run; this is what was said then.")
        else:
            run.note("The device was initialised elsewhere; its key was entered by hand.")
    _seed_numbers(kept, activation)
    return activation


def _seed_numbers(kept: KeyFile, activation: Activation) -> None:
    """A VSCU says which numbers it used last."""
    used = activation.last_numbers
    kept.numbers.invoice = max(kept.numbers.invoice, used.get("sale_invoice", 0) + 1)
    kept.numbers.purchase = max(kept.numbers.purchase, used.get("purchase_invoice", 0) + 1)
    kept.save()


def all_passed(results: list[Result]) -> bool:
    """Whether every case passed that this flavour offers."""
    return all(result.status in {Status.PASSED, Status.NOT_OFFERED} for result in results)
