"""A street of shops, an unreliable KRA, dying processes: whatever happens, every sale is signed once and in order.

Hypothesis invents the story: sales come, are repeated, corrected and withdrawn, answers are lost or land late, processes
die. After every step the database is held against KRA's own ledger (invariants I1 to I8 and I16 of the design). At the
end KRA is well again, and everything must settle.

`--hypothesis-profile=thorough` tells longer stories.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.lanes.actions import hold_lane, release_lane
from gateway.lanes.engine import NotKept
from gateway.lanes.models import Job, Lane
from gateway.sales.actions import NotRefused, TooLate, cancel_invoice, retry_invoice
from gateway.sales.answers import answer
from gateway.sales.intake import SaleIn
from gateway.sales.models import Found, Invoice
from gateway.sales.services import Outcome, ReferenceReused
from tests.lanes.bench import fresh_database, is_postgres, pointed_at
from tests.lanes.shops import Counter, Process, Street, held, street
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

LATE_SECONDS = 1.5  # the longest that a message may be under way; what lands late here lands long before
LANDS_LATE_SECONDS = 0.2
HEALTHY_SECONDS = 8.0  # a healthy shop's sale is signed within it, whatever the others' state
SETTLED_SECONDS = 30.0
FINAL = {"signed", "refused", "cancelled"}
RECEIPT = (
    *("number", "receipt_number", "total_receipt_number", "internal_data", "signature", "signed_at"),
    *("control_unit_id", "machine_code", "recovered", "settled_at", "figures", "snapshot", "body", "total", "total_tax"),
)

FAULTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "answer lost": ("sales_save", "answer_lost", {}),
    "request lost": ("sales_save", "request_lost", {}),
    "connection reset": ("sales_save", "connection_reset", {}),
    "recorded late": ("sales_save", "recorded_late", {"seconds": LANDS_LATE_SECONDS}),
    "half an answer": ("sales_save", "truncated_json", {}),
    "empty answer, recorded": ("sales_save", "empty_answer", {"recorded": True}),
    "web page": ("sales_save", "html_page", {}),
    "web page, recorded": ("sales_save", "html_page", {"recorded": True}),
    "refused": ("sales_save", "result_code", {"code": "910"}),
    "994": ("sales_save", "result_code", {"code": "994"}),
    "994, recorded": ("sales_save", "result_code", {"code": "994", "recorded": True}),
    "921": ("sales_save", "result_code", {"code": "921"}),
    "999": ("sales_save", "result_code", {"code": "999"}),
    "999, recorded": ("sales_save", "result_code", {"code": "999", "recorded": True}),
    "too many": ("sales_save", "rate_limited", {"retry_after": 1}),
    "number taken": ("sales_save", "number_taken", {"count": 1}),
    "two numbers taken": ("sales_save", "number_taken", {"count": 2}),
    "repeat as drift": ("sales_save", "repeat_as_drift", {}),
    "slow": ("sales_save", "delay", {"seconds": 0.1}),
    "slow answer": ("sales_save", "delay", {"seconds": 0.1, "when": "after"}),
    "look-up lost": ("invoice_details", "request_lost", {}),
    "look-up fails": ("invoice_details", "result_code", {"code": "999"}),
    "look-up lags": ("invoice_details", "lookup_lags", {"seconds": LANDS_LATE_SECONDS}),
    "look-up is slow": ("invoice_details", "delay", {"seconds": 0.1}),
}


@dataclass
class Story:
    """What the tills know of one sale. `since`: the step at which it got its place in the lane."""

    counter: Counter
    sale: SaleIn
    since: int
    public_id: str = ""  # empty while no till has heard that it is kept
    contents: int = 1
    receipt: dict[str, Any] = field(default_factory=dict)


class Trade(RuleBasedStateMachine):
    """Three shops whose KRA is unreliable, and one whose KRA is well."""

    def __init__(self, simulator: Simulator, django_settings: Any) -> None:
        super().__init__()
        self.opened = street(simulator, django_settings, late_seconds=LATE_SECONDS)
        self.street: Street = self.opened.__enter__()
        self.stories: dict[str, Story] = {}
        self.steps = itertools.count(1)
        self.ended = False

    @initialize()
    def open_shops(self) -> None:
        for _ in range(2 if is_postgres() else 1):
            self.street.start_process()
        self.sick = self.street.open_company("00", "01") + self.street.open_company("00")
        (self.well,) = self.street.open_company("00")
        self.street.register_items()

    # --- what tills and owners do

    @rule(data=st.data(), wait=st.sampled_from([0, 0, 0.3]))
    def sell(self, data: st.DataObject, wait: float) -> None:
        story = self.new_story(data)
        (heard,) = self.street.post(self.any_process(data), (story.counter, story.sale), wait_seconds=wait)
        self.hear(story, heard)

    @rule(data=st.data(), count=st.integers(2, 6))
    def sell_many_at_once(self, data: st.DataObject, count: int) -> None:
        step = next(self.steps)
        stories = [self.new_story(data, step) for _ in range(count)]
        answers = self.street.post(self.any_process(data), *((story.counter, story.sale) for story in stories))
        for story, heard in zip(stories, answers, strict=True):
            self.hear(story, heard)

    @precondition(lambda self: self.stories)
    @rule(data=st.data(), wait=st.sampled_from([0, 0.2]))
    def repeat(self, data: st.DataObject, wait: float) -> None:
        story = self.any_story(data)
        (heard,) = self.street.post(self.any_process(data), (story.counter, story.sale), wait_seconds=wait)
        assert not story.public_id or (isinstance(heard, Outcome) and heard.replayed)
        self.hear(story, heard)

    @precondition(lambda self: self.stories)
    @rule(data=st.data())
    def post_other_content(self, data: st.DataObject) -> None:
        """A refused one is corrected by it; to all others it is a conflict."""
        story = self.any_story(data)
        other = story.counter.sale(story.sale.reference, quantity=3, remark=f"again {next(self.steps)}")
        before = Invoice.objects.filter(public_id=story.public_id).values_list("status", "revision").first()
        (heard,) = self.street.post(self.any_process(data), (story.counter, other))
        if isinstance(heard, ReferenceReused):
            return
        if before is not None:
            assert isinstance(heard, Outcome) and heard.row["revision"] == before[1] + 1, (before, heard)
            assert before[0] not in {"signed", "cancelled"}
        story.sale, story.since, story.contents = other, next(self.steps), story.contents + 1
        self.hear(story, heard)

    @precondition(lambda self: self.stories)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        story = self.any_story(data, status="refused")
        row = {"company_id": story.counter.company_id, "environment": "sandbox", "public_id": story.public_id}
        if not story.public_id:
            return
        before = Invoice.objects.get(public_id=story.public_id)
        try:
            retry_invoice(**row, actor="owner")
        except NotRefused as error:
            assert error.status in {"signed", "cancelled"}
        else:
            if before.status == "refused":
                story.since = next(self.steps)

    @precondition(lambda self: self.stories)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        story = self.any_story(data, status="queued")
        if not story.public_id:
            return
        row = {"company_id": story.counter.company_id, "environment": "sandbox", "public_id": story.public_id}
        try:
            assert cancel_invoice(**row, actor="owner").status == "cancelled"
        except TooLate as error:
            assert error.status != "cancelled"

    @rule(data=st.data())
    def sell_where_kra_is_well(self, data: st.DataObject) -> None:
        """I16: others' trouble does not slow a healthy shop."""
        story = self.new_story(data, counter=self.well)
        self.hear(story, *self.street.post(self.any_process(data), (story.counter, story.sale)))
        mine = Invoice.objects.filter(public_id=story.public_id, status="signed")
        assert self.street.work_until(mine.exists, seconds=HEALTHY_SECONDS), "a healthy shop waits for a sick one"

    # --- what goes wrong

    @rule(data=st.data(), fault=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 3))
    def kra_misbehaves(self, data: st.DataObject, fault: str, times: int) -> None:
        operation, name, parameters = FAULTS[fault]
        self.street.fault(self.any_sick(data), operation, name, times=times, **parameters)

    @rule(seconds=st.sampled_from(["0.1", "1", "3600"]))
    def kras_clock_moves(self, seconds: str) -> None:
        self.street.simulator.clock(advance_seconds=seconds)

    @rule(data=st.data())
    def a_process_dies(self, data: st.DataObject) -> None:
        self.street.kill(self.any_process(data))
        self.street.start_process()

    @rule(data=st.data(), count=st.integers(1, 4), milliseconds=st.integers(0, 30))
    def a_process_dies_while_tills_wait(self, data: st.DataObject, count: int, milliseconds: int) -> None:
        """Nobody knows what was kept; the tills post the same again, as tills do."""
        step = next(self.steps)
        stories = [self.new_story(data, step) for _ in range(count)]
        process = self.any_process(data)
        self.street.post_and_kill(process, [(s.counter, s.sale) for s in stories], after_seconds=milliseconds / 1000)
        self.street.start_process()
        answers = self.street.post(self.any_process(data), *((story.counter, story.sale) for story in stories))
        for story, heard in zip(stories, answers, strict=True):
            self.hear(story, heard)

    @rule(data=st.data())
    def an_operator_holds_or_releases_a_lane(self, data: st.DataObject) -> None:
        counter = self.any_sick(data)
        if held(counter):
            release_lane(counter.lane_id, actor="operator")
        else:
            hold_lane(counter.lane_id, reason="counting the till", actor="operator")

    @rule(seconds=st.sampled_from([0.05, 0.2, 0.6]))
    def time_passes(self, seconds: float) -> None:
        self.street.pass_time(seconds)

    # --- what must be true after every step

    @invariant()
    def the_books_agree_with_kra(self) -> None:
        if not self.stories:
            return
        invoices = {str(row.public_id): row for row in Invoice.objects.filter(lane_id__in=self.lanes())}
        positions = dict(Job.objects.filter(lane_id__in=self.lanes()).values_list("document_id", "id"))
        lanes = Lane.objects.in_bulk(self.lanes())
        for counter in self.street.counters:
            self.check_counter(counter, invoices, positions, lanes[counter.lane_id])

    def lanes(self) -> list[int]:
        return [counter.lane_id for counter in self.street.counters]

    def check_counter(
        self, counter: Counter, invoices: dict[str, Invoice], positions: dict[int, int], lane: Lane
    ) -> None:
        ledger = self.street.ledger(counter)  # read after the books: it may only be ahead of them
        recorded = {row["number"]: row for row in ledger}
        ours = [row for row in ledger if row["origin"] != "another system"]
        assert sorted(recorded) == list(range(1, len(ledger) + 1)), "I2: a hole, or a number used twice"
        assert lane.next_number <= len(ledger) + 1, "I2: the lane is ahead of KRA"
        references = [row["reference"] for row in ours]
        assert len(references) == len(set(references)), f"I3: signed twice at KRA: {references}"
        mine = [story for story in self.stories.values() if story.counter is counter]
        signed = []
        for story in mine:
            if not story.public_id:
                continue
            invoice = invoices.get(story.public_id)
            assert invoice is not None, "I4: what was answered is gone"
            self.check_story(story, invoice, recorded, references)
            if invoice.status == "signed":
                signed.append((invoice.number, story.since, positions[invoice.pk]))
        numbers = [number for number, _, _ in signed]
        assert len(numbers) == len(set(numbers)), "I1: one number for two documents"
        ranked = sorted(signed)
        assert [since for _, since, _ in ranked] == sorted(since for _, since, _ in ranked), f"I5: {ranked}"
        assert sum(job.state == "started" for job in Job.objects.filter(lane=lane)) <= 1, "I5: two under way"

    def check_story(
        self, story: Story, invoice: Invoice, recorded: dict[int, dict[str, Any]], references: list[str]
    ) -> None:
        reference = invoice.reference
        told = answer(
            {**vars(invoice), "device_public_id": invoice.device.public_id}, system_url="http://x", secret=b"x" * 32
        )
        assert told["status"] == invoice.status and (told["receipt"] is not None) == (invoice.status == "signed"), "I7"
        figures = invoice.figures
        assert Decimal(figures["total"]) == sum(Decimal(line["total"]) for line in figures["lines"]), "I8"
        assert Decimal(figures["total_tax"]) == sum(Decimal(amount) for amount in figures["tax"].values()), "I8"
        assert invoice.total == Decimal(figures["total"]) and invoice.total_tax == Decimal(figures["total_tax"]), "I8"
        if story.receipt:
            assert {name: getattr(invoice, name) for name in RECEIPT} == story.receipt, "I6: a receipt has changed"
        if invoice.status == "signed":
            story.receipt = {name: getattr(invoice, name) for name in RECEIPT}
            assert invoice.number is not None
            kra = recorded.get(invoice.number)
            assert kra is not None and kra["reference"] == reference, f"I7: {reference} is signed, but not at KRA"
            assert (kra["signature"], kra["internal_data"], kra["receipt_number"]) == (
                invoice.signature,
                invoice.internal_data,
                invoice.receipt_number,
            ), "I1: not the receipt that KRA gave"
            assert Decimal(kra["total"]) == invoice.total, "I8: KRA has another total"
        elif invoice.status in {"refused", "cancelled"}:
            assert reference not in references, f"I7: {reference} is {invoice.status}, but KRA has signed it"
            assert invoice.number is None, "I1: a number without a document"

    # --- the end

    def teardown(self) -> None:
        try:
            if self.street.processes and sys.exc_info()[0] is None:
                self.everything_settles()
        finally:
            self.opened.__exit__(None, None, None)

    def everything_settles(self) -> None:
        """KRA is well, operators release what is held, one more sale comes to each shop: then nothing is left over."""
        self.street.simulator.clear_faults()
        self.street.simulator.clock(advance_seconds="60")
        for counter in self.street.counters:
            story = self.new_story(None, counter=counter)
            self.hear(story, *self.street.post(self.street.processes[0], (counter, story.sale)))
        open_ones = Invoice.objects.filter(lane_id__in=self.lanes()).exclude(status__in=FINAL)

        def done() -> bool:
            for counter in self.street.counters:
                if held(counter):
                    release_lane(counter.lane_id, actor="operator")
            return not open_ones.exists()

        assert self.street.work_until(done, seconds=SETTLED_SECONDS), (
            "nothing may be stuck",
            list(open_ones.values("reference", "status", "problem", "lane_id")),
            list(Lane.objects.filter(pk__in=self.lanes()).values()),
        )
        self.the_books_agree_with_kra()
        for counter in self.street.counters:
            ledger = self.street.ledger(counter)
            lane = Lane.objects.get(pk=counter.lane_id)
            mine = Invoice.objects.filter(lane=lane, status="signed")
            taken = {row["number"] for row in ledger if row["origin"] != "another system"}
            assert set(mine.values_list("number", flat=True)) == taken, "I1: KRA holds what we do not know"
            foreign = {row["number"] for row in ledger} - taken
            assert set(Found.objects.filter(lane=lane).values_list("number", flat=True)) == foreign
            assert lane.next_number == len(ledger) + 1 and lane.owner is None and not lane.hold_reason
            assert not Job.objects.filter(lane=lane).exclude(state="closed").exists()

    # --- choosing

    def any_process(self, data: st.DataObject) -> Process:
        position = data.draw(st.integers(0, len(self.street.processes) - 1), label="process")
        return self.street.processes[position]

    def any_sick(self, data: st.DataObject) -> Counter:
        return self.sick[data.draw(st.integers(0, len(self.sick) - 1), label="shop")]

    def any_story(self, data: st.DataObject, status: str = "") -> Story:
        """A sale of before; one with this status if there is any."""
        stories = list(self.stories.values())
        if status:
            wanted = Invoice.objects.filter(lane_id__in=self.lanes(), status=status)
            named = {str(public_id) for public_id in wanted.values_list("public_id", flat=True)}
            stories = [story for story in stories if story.public_id in named] or stories
        return stories[data.draw(st.integers(0, len(stories) - 1), label="sale")]

    def new_story(
        self, data: st.DataObject | None, step: int = 0, *, counter: Counter | None = None
    ) -> Story:
        if counter is None:
            assert data is not None
            counter = self.any_sick(data)
        reference = f"POS-{len(self.stories) + 1}"
        story = Story(counter, counter.sale(reference, quantity=1 + len(self.stories) % 7), step or next(self.steps))
        self.stories[reference] = story
        return story

    def hear(self, story: Story, heard: Outcome | Exception) -> None:
        """A 2xx names the document for ever."""
        if isinstance(heard, NotKept):
            return
        assert isinstance(heard, Outcome), heard
        public_id = str(heard.row["public_id"])
        if len(public_id) == 32:  # SQLite's form
            public_id = "-".join(public_id[a:b] for a, b in itertools.pairwise([0, 8, 12, 16, 20, 32]))
        assert story.public_id in ("", public_id), "I1: one reference, two documents"
        story.public_id = public_id


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), fresh_database(os.environ["DATABASE_URL"], tmp_path_factory.mktemp("db")) as made:
        yield made


@pytest.fixture
def database(url: str, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), pointed_at(url):
        yield


def profile() -> settings:
    """Few examples with many steps; with the profile `thorough` far more of both, and other ones each time."""
    is_thorough = settings.get_current_profile_name() == "thorough"
    return settings(
        max_examples=200 if is_thorough else int(os.environ.get("TRADE_EXAMPLES", "12")),
        stateful_step_count=60 if is_thorough else 30,
        derandomize=not is_thorough,
        database=None,
        deadline=None,
        print_blob=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.slow
def test_whatever_happens_every_sale_is_signed_once_and_in_order(
    database: None, simulator: Simulator, settings: Any
) -> None:
    run_state_machine_as_test(lambda: Trade(simulator, settings), settings=profile())
