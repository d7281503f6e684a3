"""The whole gateway on one machine against a simulated KRA: started, one sale signed, everything compared.

Everything lives in one folder and is found again there by the next run: secrets, both databases, the company's API key,
the logs. Nothing of the environment that names a database or a KRA host is used: a demo never touches real data.
"""

import base64
import fcntl
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.ops.children import Child, ChildDied, free_port, is_free

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "var" / "demo"
NAIROBI = ZoneInfo("Africa/Nairobi")
SIMULATED_RECEIPT_PATH = "/common/link/etims/receipt/indexEtimsReceiptData?Data="
PIN, BRANCH, SERIAL = "P051234567X", "00", "DEMO-OSCU-1"
COMPANY: dict[str, Any] = {
    "company": {"pin": PIN, "name": "Amani Stores Ltd", "email": "accounts@amani.example", "phone": "+254700000000"},
    "branch": {"code": BRANCH, "name": "Head office", "address": "Moi Avenue 12", "city": "Nairobi"},
    "device": {"serial": SERIAL, "device_type": "oscu"},
    "environment": "sandbox",
}
ITEMS = ["UNGA-MAIZE-2KG", "BREAD-WHITE-400", "MILK-500ML", "SUGAR-BROWN-1KG", "OIL-2L", "TOMATO-KG", "BEEF-KG"]
ITEMS += ["SODA-300-RGB", "BOTTLE-DEPOSIT", "DIESEL", "AIRTIME", "DELIVERY"]
SALE_LINES = [
    {"item_code": "UNGA-MAIZE-2KG", "quantity": "2", "unit_price": "189.00"},
    {"item_code": "MILK-500ML", "quantity": "4", "unit_price": "62.00"},
    {"item_code": "TOMATO-KG", "quantity": "1.35", "unit_price": "120.00"},
    {"item_code": "OIL-2L", "quantity": "1", "unit_price": "649.00", "discount_percent": "10"},
    {"item_code": "DIESEL", "quantity": "12.5", "unit_price": "171.47"},
    {"item_code": "DELIVERY", "quantity": "1", "unit_price": "250.00"},
]
SETTLE_SECONDS = 30.0
PAGES = "docs/how-to/use-the-operators-pages.md"
NO_ANSWER = "A server of the demo does not answer any more; its log is in the demo's folder."

Say = Callable[[str], None]


class DemoFailed(Exception):
    """The demo cannot go on; the message says why, and what to do where something can be done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP call brought: `document` is its JSON, or None; names of headers are in lower case."""

    status: int
    text: str
    document: Any
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: where its two servers are and the key of its company."""

    folder: Path
    gateway: str
    simulator: str
    key: str = ""


def call(method: str, url: str, body: Any = None, *, key: str = "", wait_seconds: int | None = None) -> Answer:
    """One HTTP call on this machine, past any proxy. Raises OSError when nobody answers."""
    request = urllib.request.Request(url, method=method, headers={"Content-Type": "application/json"})
    if key:
        request.add_header("Authorization", f"Token {key}")
    if wait_seconds is not None:
        request.add_header("Prefer", f"wait={wait_seconds}")
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, data, timeout=90) as answer:
            status, content, headers = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            status, content, headers = error.code, error.read(), error.headers
    text = content.decode("utf-8", "replace")
    is_json = "json" in headers.get("Content-Type", "")
    return Answer(
        status,
        text,
        json.loads(text) if is_json else None,
        {name.lower(): value for name, value in headers.items()},
    )


def expect(answer: Answer, *statuses: int, what: str) -> Any:
    """The document of an answer with one of these statuses. Raises DemoFailed with what was said instead."""
    if answer.status not in statuses:
        raise DemoFailed(f"{what} was answered with HTTP {answer.status}: {answer.text[:1000]}")
    return answer.document


# What is kept between runs


def kept(path: Path, make: Callable[[], str]) -> str:
    """The text of a file that only its owner may read; made when it is not there yet."""
    if not path.exists():
        write_secret(path, make())
    return path.read_text(encoding="utf-8").strip()


def write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    path.chmod(0o600)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keeps a second demo out of the folder until the block ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DemoFailed("A demo is running already in this folder. Stop it first (Ctrl-C there).") from error
        yield


def settings_of(demo: Demo) -> dict[str, str]:
    """The environment of the servers."""
    folder = demo.folder
    ours = {
        "SECRET_KEY": kept(folder / "SECRET_KEY", lambda: secrets.token_urlsafe(48)),
        "ENCRYPTION_KEY": kept(folder / "ENCRYPTION_KEY", lambda: base64.b64encode(secrets.token_bytes(32)).decode()),
        "DATABASE_URL": f"sqlite:///{folder / 'gateway.sqlite3'}",
        "DEBUG": "false",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "SYSTEM_URL": demo.gateway,
        "OPEN_ONBOARDING": "true",
        "KRA_ENVIRONMENT": "sandbox",
        "KRA_SANDBOX_PROFILE": "simulator",
        "KRA_SANDBOX_BASE_URL": f"{demo.simulator}/oscu/etims-api",
        "KRA_SANDBOX_RECEIPT_URL": f"{demo.simulator}{SIMULATED_RECEIPT_PATH}",
    }
    return os.environ | ours


# The steps


def answers_ok(url: str) -> bool:
    try:
        return call("GET", url).status == 200
    except OSError:
        return False


@contextmanager
def server(name: str, arguments: list[str], *, log: Path, environment: dict[str, str], health: str) -> Iterator[Child]:
    """A server of ours until the block ends. Raises ChildDied when it does not come up."""
    child = Child(name, [sys.executable, *arguments], log=log, environment=environment, cwd=ROOT)
    try:
        child.wait_until(lambda: answers_ok(health))
        yield child
    finally:
        child.stop()


def simulator_port(folder: Path) -> int:
    """The port of the run before when it is free, so that old receipts' QR codes still open; else another."""
    path = folder / "simulator.port"
    known = int(path.read_text(encoding="utf-8")) if path.exists() else 0
    port = known if known and is_free(known) else free_port()
    path.write_text(str(port), encoding="utf-8")
    return port


def migrate(environment: dict[str, str]) -> None:
    """Bring the gateway's database up to date."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DemoFailed(f"The database could not be brought up to date:\n{done.stdout[-2000:]}")


def company_key(gateway: str, folder: Path) -> str:
    """The API key of the demo company; the company is onboarded when this database does not know the key."""
    file = folder / "key"
    if file.exists():
        key = file.read_text(encoding="utf-8").strip()
        known = call("GET", f"{gateway}/api/invoices/?limit=1", key=key)
        if known.status != 401:
            expect(known, 200, what="The key of the demo company")
            return key
    answer = call("POST", f"{gateway}/api/onboard/", COMPANY)
    if answer.status == 409:
        raise DemoFailed(f"The demo company exists but its key is lost. Start afresh: rm -r {folder}")
    made = expect(answer, 201, what="The onboarding")
    write_secret(file, str(made["api_key"]["key"]))
    if made["device"]["status"] != "active":
        raise DemoFailed(f"The device was not activated: {made['device']['problem']}")
    return str(made["api_key"]["key"])


def sync_items(demo: Demo) -> int:
    """Register a dozen items of the example catalogue; how many are registered now."""
    catalogue = json.loads((ROOT / "examples" / "items.json").read_text(encoding="utf-8"))["items"]
    items = [item for item in catalogue if item["code"] in ITEMS]
    answer = call("POST", f"{demo.gateway}/api/item/sync/", {"items": items}, key=demo.key, wait_seconds=30)
    counts = expect(answer, 200, what="The items")["summary"]
    if counts["registered"] + counts["unchanged"] != len(items):
        raise DemoFailed(f"Not all items are registered at the simulated KRA: {answer.text[:1000]}")
    return len(items)


def make_sale(demo: Demo) -> dict[str, Any]:
    """Post the next sale and follow it until it is settled, for up to half a minute; how it stands then."""
    counter = demo.folder / "last_sale"
    number = int(counter.read_text(encoding="utf-8")) if counter.exists() else 0
    replayed = True
    while replayed:  # a counter that fell behind (an interrupted run) skips what is known
        number += 1
        answer = post_sale(demo, sale(f"DEMO-{number:04d}"))
        is_taken = answer.status == 409 and answer.document["code"] == "reference_reused"
        replayed = is_taken or answer.headers.get("idempotency-replayed") == "true"
    counter.write_text(str(number), encoding="utf-8")
    document: dict[str, Any] = expect(answer, 201, 202, 422, what="The sale")
    status_url = f"{demo.gateway}/api/integration/transactions/{document.get('id')}/status/"
    give_up = time.monotonic() + SETTLE_SECONDS
    while document.get("status") in {"queued", "sending", "unknown"} and time.monotonic() < give_up:
        time.sleep(0.5)
        document = expect(call("GET", status_url, key=demo.key), 200, what="The status of the sale")
    return document


def post_sale(demo: Demo, body: dict[str, Any]) -> Answer:
    """Post it, and again with the same reference while the gateway cannot say whether it was kept (503)."""
    for pause in (0.5, 1.0, 2.0, 4.0):
        answer = call("POST", f"{demo.gateway}/api/sales/", body, key=demo.key, wait_seconds=10)
        if answer.status != 503:
            return answer
        time.sleep(pause)
    return answer


def sale(reference: str) -> dict[str, Any]:
    """A sale of now, as a till posts it."""
    now = datetime.now(NAIROBI).replace(microsecond=0)
    return {"reference": reference, "issued_at": now.isoformat(), "payment_method": "mobile_money", "lines": SALE_LINES}


def receipt_text(receipt_url: str) -> str:
    """The receipt as text with its QR code, from the gateway."""
    answer = call("GET", f"{receipt_url.rstrip('/')}.txt?qr=1")
    expect(answer, 200, what="The receipt")
    return answer.text


# What must be true


def problems_of(demo: Demo, made: dict[str, Any]) -> Iterator[str]:
    """Everything that is not as it must be, one sentence each."""
    if made.get("status") != "signed":
        yield f"The sale is not signed but {made.get('status')}: {made.get('problem') or made.get('waiting') or made}"
        return
    receipt = made["receipt"]
    needed = ("number", "total_number", "signature", "internal_data", "signed_at", "control_unit", "machine_code")
    for name in (*needed, "cu_invoice_number", "qr_url", "url"):
        if not receipt.get(name):
            yield f"The receipt lacks {name}."
    if (len(receipt["signature"]), len(receipt["internal_data"])) != (16, 26):
        yield "The signature has not 16 characters, or the internal data not 26."
    pages = {
        "The receipt page": receipt["url"],
        "KRA's page": receipt["qr_url"],
        "The API reference": f"{demo.gateway}/docs/",
    }
    for name, url in pages.items():
        if (status := call("GET", url).status) != 200:
            yield f"{name} answered HTTP {status}: {url}"
    ours, theirs = signed_by_us(demo), recorded_by_kra(demo)
    for number in sorted(ours.keys() | theirs.keys()):
        if ours.get(number) != theirs.get(number):
            yield f"Invoice number {number}: we say {ours.get(number)}, the simulated KRA says {theirs.get(number)}."
    if list(theirs) != list(range(1, len(theirs) + 1)):
        yield f"The simulated KRA's numbers have a gap or are out of order: {list(theirs)}"


def signed_by_us(demo: Demo) -> dict[int, tuple[str, str, str]]:
    """Reference, amount and signature of each number that the gateway signed."""
    found: dict[int, tuple[str, str, str]] = {}
    cursor = ""
    while True:
        url = f"{demo.gateway}/api/invoices/?status=signed&limit=200{cursor}"
        page = expect(call("GET", url, key=demo.key), 200, what="The list of invoices")
        for row in page["invoices"]:
            found[row["number"]] = (
                row["reference"],
                f"{Decimal(row['totals']['amount']):.2f}",
                row["receipt"]["signature"],
            )
        if not page["next"]:
            return found
        cursor = f"&cursor={urllib.parse.quote(page['next'])}"


def recorded_by_kra(demo: Demo) -> dict[int, tuple[str, str, str]]:
    """The same of each number that the simulated KRA recorded, in its order."""
    answer = call("GET", f"{demo.simulator}/_sim/ledger?pin={PIN}&branch={BRANCH}")
    rows = expect(answer, 200, what="The simulated KRA's ledger")
    return {row["number"]: (row["reference"], f"{Decimal(str(row['total'])):.2f}", row["signature"]) for row in rows}


# Telling


def curl_of(demo: Demo) -> str:
    """A sale of the reader's own, ready to paste into a shell."""
    now = datetime.now(NAIROBI).replace(microsecond=0)
    line = {"item_code": "SUGAR-BROWN-1KG", "quantity": 2, "unit_price": "168.00"}
    body = {"reference": f"MINE-{now:%H%M%S}", "issued_at": now.isoformat(), "lines": [line]}
    return (
        f"curl -sS {demo.gateway}/api/sales/ -H 'Prefer: wait=10' -H 'Content-Type: application/json' \\\n"
        f'  -H "Authorization: Token $(cat {shlex.quote(str(demo.folder / "key"))})" \\\n'
        f"  -d {shlex.quote(json.dumps(body))} \\\n  | python3 -m json.tool"
    )


def links(demo: Demo, made: dict[str, Any]) -> Iterator[str]:
    yield f"Receipt page     {made['receipt']['url']}"
    yield f"KRA's page (QR)  {made['receipt']['qr_url']}"
    yield f"API reference    {demo.gateway}/docs/"
    yield f"Simulated KRA    {demo.simulator}/  (ledger, faults to switch on, clock)"


def start(demo: Demo, servers: ExitStack, *, say: Say) -> list[Child]:
    """Both servers, on databases that are up to date; `servers` ends them. Raises ChildDied, DemoFailed."""
    environment = settings_of(demo)
    port = str(urllib.parse.urlsplit(demo.simulator).port)
    simulator = server(
        "The simulated KRA",
        ["-m", "gateway.simulator", "--port", port, "--state", str(demo.folder / "simulator.sqlite3")],
        log=demo.folder / "simulator.log",
        environment=environment,
        health=f"{demo.simulator}/_sim/health",
    )
    children = [servers.enter_context(simulator)]
    say(f"Simulated KRA  {demo.simulator}/")
    migrate(environment)
    gateway = server(
        "The gateway",
        [str(ROOT / "manage.py"), "serve", "--port", str(urllib.parse.urlsplit(demo.gateway).port)],
        log=demo.folder / "gateway.log",
        environment=environment,
        health=f"{demo.gateway}/health/",
    )
    children.append(servers.enter_context(gateway))
    say(f"Gateway        {demo.gateway}/")
    return children


def play(demo: Demo, *, once: bool = False, say: Say) -> tuple[Demo, list[str]]:
    """A company, a dozen items, one sale and its receipt; the demo with its key, and what is not as it must be.

    With `once` no links are told: the servers behind them are about to end.
    """
    name = COMPANY["company"]["name"]
    approved = {"pin": PIN, "branch": BRANCH, "serial": SERIAL, "kind": "oscu", "name": name}
    expect(call("POST", f"{demo.simulator}/_sim/devices", approved), 200, what="The approval of the device")
    demo = replace(demo, key=company_key(demo.gateway, demo.folder))
    say(f"Company        {name}, PIN {PIN}, device {SERIAL} is active")
    say(f"Items          {sync_items(demo)} registered")
    began = time.monotonic()
    made = make_sale(demo)
    if made.get("status") == "signed":
        milliseconds = (time.monotonic() - began) * 1000
        say(f"Sale           {made['reference']} signed as number {made['number']} in {milliseconds:.0f} ms\n")
        say(receipt_text(made["receipt"]["url"]))
        for text in () if once else links(demo, made):
            say(text)
    return demo, list(problems_of(demo, made))


def run(
    *, port: int = 8000, simulated_kra_port: int = 0, once: bool = False, folder: Path = FOLDER, say: Say = print
) -> int:
    """Start everything, sign a sale and compare; then stay up until Ctrl-C, or end at once with `once`.

    The exit code: 0, or 1 when something was not as it must be. A second run in the same folder goes on where the first
    one ended. Raises DemoFailed and ChildDied.
    """
    began = time.monotonic()
    with only_one(folder), ExitStack() as servers:
        if not is_free(port):
            raise DemoFailed(f"Port {port} is taken by another program. Choose another: PORT={port + 1} make demo")
        simulator = simulated_kra_port or simulator_port(folder)
        demo = Demo(folder, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator}")
        children = start(demo, servers, say=say)
        try:
            demo, wrong = play(demo, once=once, say=say)
        except OSError as error:
            raise next((child.death() for child in children if child.has_ended), DemoFailed(NO_ANSWER)) from error
        for sentence in wrong:
            say(f"WRONG: {sentence}")
        if once:
            if not wrong:
                say(f"All checks hold: gateway and simulated KRA agree ({time.monotonic() - began:.1f} s).")
            return 1 if wrong else 0
        say(f"\nSign a sale of your own (pasted twice it is signed once):\n\n{curl_of(demo)}\n")
        say(f"A supermarket's day, 300 sales:\n\n{sell_command(demo)}\n")
        say(f"In a browser: {demo.gateway}/account/login/\n{PAGES} says how to get a password.\n")
        say(f"Ctrl-C stops both servers; everything is kept in {shown(folder)}.")
        stay_up(children)
    return 0


def sell_command(demo: Demo) -> str:
    """How to post the example day to this demo, from the project's folder."""
    return f".venv/bin/python manage.py sell examples/supermarket-day.jsonl --prepare --url {demo.gateway}"


def shown(path: Path) -> str:
    """A path as short as it can be said from the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def stay_up(children: list[Child]) -> None:
    """Wait until somebody stops us. Raises ChildDied when a server ends by itself."""
    while True:
        for child in children:
            if child.has_ended:
                raise child.death()
        time.sleep(0.5)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000, help="the gateway's port (%(default)s)")
    parser.add_argument("--simulator-port", type=int, default=0, help="the simulated KRA's port; left out: a free one")
    parser.add_argument("--once", action="store_true", help="check everything and end: 0 when all is well, else 1")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where everything is kept (var/demo)")


def main(*, port: int, simulator_port: int, once: bool, folder: Path) -> int:
    """Run at a terminal: troubles are told in a sentence, SIGTERM stops in order as Ctrl-C does. The exit code."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs with SIGINT ignored
        signal.signal(stop, signal.default_int_handler)
    try:
        return run(port=port, simulated_kra_port=simulator_port, once=once, folder=folder.resolve())
    except (DemoFailed, ChildDied) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0
