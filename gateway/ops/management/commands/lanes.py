"""`manage.py lanes`: see which lanes work, rest or are held, and decide about those that need a person."""

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from gateway.lanes.actions import NotPossible, hold_lane, release_lane
from gateway.lanes.models import Lane
from gateway.lanes.queries import LaneUnknown, find_lane, is_alive, lane_story, lanes_with_work
from gateway.ops import lanes_report
from gateway.purchases.doubts import find_purchase_doubt
from gateway.purchases.doubts import give_back as give_purchase_back
from gateway.purchases.doubts import note_recorded as note_purchase_recorded
from gateway.sales.doubts import SignedByHand, find_doubt, give_back, read_signed, send_again, sign_by_hand
from gateway.sales.models import Invoice
from gateway.stock.doubts import find_stock_doubt, note_recorded
from gateway.stock.doubts import give_back as give_stock_back
from gateway.stock.doubts import send_again as send_stock_again

_BY_WIDTH = 80


class Command(BaseCommand):
    help = "See how the lanes stand, hold and release them, and resolve a document that is in doubt."
    requires_system_checks = ()  # they load every page, and here is none

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listed = actions.add_parser("list", help="lanes that have something to do, or are held")
        listed.add_argument("--held", action="store_true", help="only those that wait for a person")
        listed.add_argument("--company", metavar="PIN", default="", help="only this company's")
        listed.add_argument("--json", action="store_true", help="for programs")
        _named(actions.add_parser("show", help="one lane: its jobs, what was said to KRA, what to do"))
        held = _named(actions.add_parser("hold", help="stop a lane; a running turn ends first"))
        held.add_argument("--reason", required=True, help="why; callers whose sales wait read it")
        released = _named(actions.add_parser("release", help="let a held lane go on"))
        resolved = _named(actions.add_parser("resolve", help="decide about the document in doubt of a held lane"))
        how = resolved.add_mutually_exclusive_group(required=True)
        how.add_argument("--signed", metavar="FILE", type=Path, help="KRA has it: the receipt, as JSON")
        how.add_argument("--resend", action="store_true", help="send the same bytes again under the same number")
        how.add_argument("--give-back", action="store_true", help="KRA does not have it: refuse it, free its number")
        how.add_argument("--recorded", action="store_true", help="stock and purchases only: KRA has it")
        resolved.add_argument("--yes", action="store_true", help="do not ask")
        for parser_of_action in (held, released, resolved):
            parser_of_action.add_argument("--by", metavar="NAME", help="who you are, for the journal; else the OS user")

    def handle(self, *, action: str, **options: Any) -> None:
        work: dict[str, Callable[..., None]] = {
            "list": self._list,
            "show": self._show,
            "hold": self._hold,
            "release": self._release,
            "resolve": self._resolve,
        }
        try:
            work[action](**options)
        except (NotPossible, LaneUnknown) as error:
            raise CommandError(str(error)) from error

    def _list(self, *, held: bool, company: str, json: bool, **options: Any) -> None:
        now = timezone.now()
        standings = lanes_with_work(now=now, pin=company.upper(), held=held)
        if json:
            self.stdout.write(_json([lanes_report.as_json(one, now=now) for one in standings]))
        elif held and not standings:
            self.stdout.write("No lane is held.")
        else:
            self.stdout.write(lanes_report.table(standings, now=now))

    def _show(self, *, lane: str, **options: Any) -> None:
        now = timezone.now()
        self.stdout.write(lanes_report.story(lane_story(find_lane(lane), now=now), now=now))

    def _hold(self, *, lane: str, reason: str, by: str | None, **options: Any) -> None:
        held = hold_lane(find_lane(lane).pk, reason=reason, actor=_actor(by))
        when = " once the turn that is running has ended" if is_alive(held.owner) else ""
        self.stdout.write(f"The lane {held} is held{when}. What comes in is kept and waits.")

    def _release(self, *, lane: str, by: str | None, **options: Any) -> None:
        released = release_lane(find_lane(lane).pk, actor=_actor(by))
        self.stdout.write(f"The lane {released} goes on, with number {released.next_number} next.")

    def _resolve(
        self,
        *,
        lane: str,
        signed: Path | None,
        resend: bool,
        give_back: bool,
        recorded: bool,
        yes: bool,
        by: str | None,
        **options: Any,
    ) -> None:
        actor, found = _actor(by), find_lane(lane)
        if found.series == Lane.Series.STOCK:
            if signed is not None:
                raise CommandError("A movement of stock has no receipt: say --recorded, --resend or --give-back.")
            self._resolve_stock(found, "recorded" if recorded else "resend" if resend else "give_back", actor, yes)
            return
        if found.series == Lane.Series.PURCHASE:
            if not (recorded or give_back):
                raise CommandError(
                    "A purchase has no receipt, and is sent again by itself: say --recorded or --give-back."
                )
            self._resolve_purchase(found, recorded, actor, yes)
            return
        if recorded:
            raise CommandError("--recorded is for lanes of stock and of purchases.")
        if signed is not None:
            invoice = self._sign(found, _read(signed), actor, yes)
        elif resend:
            invoice = self._send_again(found, actor, yes)
        else:
            invoice = self._give_back(found, actor, yes)
        found.refresh_from_db()
        self.stdout.write(
            f"{invoice.reference} is {invoice.status}. The lane {found} goes on, with number {found.next_number} next."
        )

    def _resolve_stock(self, lane: Lane, how: str, actor: str, yes: bool) -> None:
        doubt = find_stock_doubt(lane)
        said = {"recorded": "KRA has", "resend": "KRA does not have", "give_back": "KRA does not have"}[how]
        then = {
            "recorded": "It counts there, and the balance is told next.",
            "resend": "It is sent once more, under the same number. If KRA has it after all, it counts twice.",
            "give_back": "It is refused, and shows in the drift report.",
        }[how]
        self._ask(f"You state that {said} the stock movement number {doubt.job.number}. {then}", yes)
        movement = {"recorded": note_recorded, "resend": send_stock_again, "give_back": give_stock_back}[how](
            doubt, actor=actor
        )
        lane.refresh_from_db()
        self.stdout.write(
            f"The movement is {movement.status}. The lane {lane} goes on, with number {lane.next_number} next."
        )

    def _resolve_purchase(self, lane: Lane, recorded: bool, actor: str, yes: bool) -> None:
        doubt = find_purchase_doubt(lane)
        said = "KRA has" if recorded else "KRA does not have"
        then = "It is confirmed, and its goods come in." if recorded else "It is refused; its owner may post it again."
        self._ask(f"You state that {said} the purchase {doubt.purchase.reference}, number {doubt.number}. {then}", yes)
        purchase = (note_purchase_recorded if recorded else give_purchase_back)(doubt, actor=actor)
        lane.refresh_from_db()
        self.stdout.write(
            f"The purchase is {purchase.status}. The lane {lane} goes on, with number {lane.next_number} next."
        )

    def _sign(self, lane: Lane, receipt: SignedByHand, actor: str, yes: bool) -> Invoice:
        doubt = find_doubt(lane)
        self._ask(
            f"{lanes_report.named(doubt)} becomes signed for ever: receipt {receipt.receipt_number}/"
            f"{receipt.total_receipt_number} of {receipt.control_unit_id}, signature {receipt.signature}, internal "
            f"data {receipt.internal_data}, at {receipt.signed_at}.",
            yes,
        )
        return sign_by_hand(doubt, receipt, actor=actor)

    def _send_again(self, lane: Lane, actor: str, yes: bool) -> Invoice:
        doubt = find_doubt(lane)
        first = "is looked up at KRA, and if it is not there, sent" if doubt.can_be_looked_up() else "is sent"
        self._ask(f"{lanes_report.named(doubt)} {first} once more, the same bytes under the same number.", yes)
        return send_again(doubt, actor=actor)

    def _give_back(self, lane: Lane, actor: str, yes: bool) -> Invoice:
        doubt = find_doubt(lane)
        self._ask(
            f"You state that KRA does not have {lanes_report.named(doubt)}. It is refused, and its number goes to the "
            "next document. If KRA has it after all, the branch's numbers will clash.",
            yes,
        )
        return give_back(doubt, actor=actor, late_seconds=settings.ENGINE_LATE_SECONDS, now=timezone.now())

    def _ask(self, what: str, yes: bool) -> None:
        self.stdout.write(what)
        if yes:
            return
        try:
            answer = input("Type yes to do it: ")
        except EOFError:
            raise CommandError("Nobody is there to confirm it; nothing was changed. Say --yes.") from None
        if answer.strip().lower() != "yes":
            raise CommandError("Nothing was changed.")


def _named(parser: CommandParser) -> CommandParser:
    parser.add_argument("lane", metavar="LANE", help="environment/PIN/branch/series, or its id")
    return parser


def _actor(by: str | None) -> str:
    try:
        name = (by or getpass.getuser()).strip()
    except (KeyError, OSError):
        name = ""
    if not name or len(name) > _BY_WIDTH:
        raise CommandError(f"Say who you are, in 1 to {_BY_WIDTH} characters: --by NAME")
    return f"operator:{name}"


def _read(file: Path) -> SignedByHand:
    try:
        return read_signed(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False)
