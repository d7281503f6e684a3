"""A street of shops, an unreliable KRA, dying processes: whatever happens, every sale is signed once and in order.

Hypothesis invents the story: sales come, are repeated, corrected and withdrawn, answers are lost or land late,
processes die. After every step the database is held against KRA's own ledger (invariants I1 to I8 and I16 of the
design). At the end KRA is well again, and everything must settle.

`--hypothesis-profile=thorough` tells longer stories.
"""

import itertools
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.lanes.actions import hold_lane, release_lane
from gateway.lanes.models import Job, Lane
from gateway.sales.actions import NotRefused, TooLate, cancel_invoice, retry_invoice
from gateway.sales.answers import answer
from gateway.sales.intake import SaleIn
from gateway.sales.models import Found, Invoice
from gateway.sales.services import Outcome, ReferenceReused
from tests.lanes.bench import expire, is_postgres, pointed_at
from tests.lanes.shops import Counter, Process, Street, held, street
from tests.servers import Simulator

pytestmark = pytest.mark.needs_database

LATE_SECONDS = 1.5  # the longest that a message may be under way; what lands late here lands long before
LANDS_LATE_SECONDS = 0.2
HEALTHY_SECONDS = 20.0  # a healthy shop's sale is signed within it, whatever the others' state
SETTLED_SECONDS = 90.0
SHOP = st.integers(0, 2)
PROCESS = st.integers(0, 1)
WHICH = st.integers(0, 999)
FINAL = {"signed", "refused", "cancelled"}
RECEIPT = (
    *("number", "receipt_number", "total_receipt_number", "internal_data", "signature", "signed_at"),
    *(
        "control_unit_id",
        "machine_code",
        "recovered",
        "settled_at",
        "figures",
        "snapshot",
        "body",
        "total",
        "total_tax",
    ),
)

Fault = tuple[str, str, dict[str, Any]]  # operation, what goes wrong, how
FAULTS: dict[str, Fault] = {
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
# What only hurts together, in the order in which it strikes
TROUBLES: dict[str, list[str]] = {
    **{name: [name] for name in FAULTS},
    "a late one is refused meanwhile": ["recorded late", "refused"],
    "a late one is refused twice meanwhile": ["recorded late", "refused", "refused"],
    "a lost one is refused": ["request lost", "refused"],
    "an unclear one is refused": ["999, recorded", "refused", "look-up lags"],
    "a lost answer is not seen": ["answer lost", "look-up lags", "look-up lags", "repeat as drift"],
    "a lost answer cannot be looked up": ["answer lost", "look-up lost", "look-up fails"],
    "a late one meets another system": ["recorded late", "number taken"],
    "another system and a lost answer": ["number taken", "slow", "answer lost"],
    "busy, then lost, then busy": ["too many", "request lost", "too many"],
}


@dataclass
class Story:
    """What the tills know of one sale. `since`: the step at which it got its place in the lane."""

    counter: Counter
    sale: SaleIn
    since: int
    public_id: str = ""  # empty until a till hears that it is kept
    receipt: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "company_id": self.counter.company_id,
            "environment": "sandbox",
            "public_id": uuid.UUID(self.public_id),
        }


class Trade(RuleBasedStateMachine):
    """Three shops whose KRA is unreliable, and one whose KRA is well. `wrongs`: what went wrong in any story so far."""

    wrongs: ClassVar[list[str]] = []

    def __init__(self, simulator: Simulator, django_settings: Any) -> None:
        super().__init__()
        self.opened = street(simulator, django_settings, late_seconds=LATE_SECONDS)
        self.street: Street = self.opened.__enter__()
        self.stories: dict[str, Story] = {}
        self.steps = itertools.count(1)

    @initialize()
    def open_shops(self) -> None:
        for _ in range(2 if is_postgres() else 1):
            self.street.start_process()
        self.sick = self.street.open_company("00", "01") + self.street.open_company("00")
        (self.well,) = self.street.open_company("00")
        self.street.register_items()

    # --- what tills and owners do

    @rule(shop=SHOP, process=PROCESS, wait=st.sampled_from([0, 0, 0.3]))
    def sell(self, shop: int, process: int, wait: float) -> None:
        story = self.new_story(self.sick[shop])
        (heard,) = self.street.post(self.process(process), (story.counter, story.sale), wait_seconds=wait)
        self.hear(story, heard)

    @rule(shops=st.lists(SHOP, min_size=2, max_size=6), process=PROCESS)
    def sell_many_at_once(self, shops: list[int], process: int) -> None:
        step = next(self.steps)
        stories = [self.new_story(self.sick[shop], step) for shop in shops]
        answers = self.street.post(self.process(process), *((story.counter, story.sale) for story in stories))
        for story, heard in zip(stories, answers, strict=True):
            self.hear(story, heard)

    @precondition(lambda self: self.stories)
    @rule(which=WHICH, process=PROCESS, wait=st.sampled_from([0, 0.2]))
    def repeat(self, which: int, process: int, wait: float) -> None:
        story = self.story(which)
        (heard,) = self.street.post(self.process(process), (story.counter, story.sale), wait_seconds=wait)
        assert not story.public_id or (isinstance(heard, Outcome) and heard.replayed)
        self.hear(story, heard)

    @precondition(lambda self: self.stories)
    @rule(which=WHICH, process=PROCESS, refused=st.booleans())
    def post_other_content(self, which: int, process: int, refused: bool) -> None:
        """A refused one is corrected by it; to all others it is a conflict."""
        story = self.story(which, status="refused" if refused else "")
        other = story.counter.sale(story.sale.reference, quantity=3, remark=f"again {next(self.steps)}")
        before = Invoice.objects.get(public_id=story.public_id)
        (heard,) = self.street.post(self.process(process), (story.counter, other))
        if isinstance(heard, ReferenceReused):
            return
        assert isinstance(heard, Outcome) and heard.row["revision"] == before.revision + 1, heard
        assert before.status not in {"signed", "cancelled"}
        story.sale, story.since = other, next(self.steps)
        self.hear(story, heard)

    @precondition(lambda self: self.stories)
    @rule(which=WHICH)
    def ask_again(self, which: int) -> None:
        story = self.story(which, status="refused")
        before = Invoice.objects.get(public_id=story.public_id)
        try:
            self.street.do(partial(retry_invoice, **story.identity, actor="owner"))
        except NotRefused as error:
            assert error.status in {"signed", "cancelled"}
        else:
            if before.status == "refused":
                story.since = next(self.steps)

    @precondition(lambda self: self.stories)
    @rule(which=WHICH)
    def withdraw(self, which: int) -> None:
        story = self.story(which, status="queued")
        try:
            assert self.street.do(partial(cancel_invoice, **story.identity, actor="owner")).status == "cancelled"
        except TooLate as error:
            assert error.status != "cancelled"

    @rule(process=PROCESS)
    def sell_where_kra_is_well(self, process: int) -> None:
        """I16: others' trouble does not slow a healthy shop."""
        story = self.new_story(self.well)
        self.hear(story, *self.street.post(self.process(process), (story.counter, story.sale)))
        mine = Invoice.objects.filter(public_id=story.public_id, status="signed")
        assert self.street.work_until(mine.exists, seconds=HEALTHY_SECONDS), "a healthy shop waits for a sick one"

    # --- what goes wrong

    @rule(
        shop=SHOP,
        process=PROCESS,
        troubles=st.lists(st.sampled_from(sorted(TROUBLES)), min_size=1, max_size=2),
        count=st.integers(1, 3),
        seconds=st.sampled_from([0.0, 0.1, 0.4]),
    )
    def sell_into_trouble(self, shop: int, process: int, troubles: list[str], count: int, seconds: float) -> None:
        for trouble in troubles:
            self.misbehave(self.sick[shop], trouble)
        for _ in range(count):
            story = self.new_story(self.sick[shop])
            self.hear(story, *self.street.post(self.process(process), (story.counter, story.sale)))
        self.street.pass_time(seconds)

    @rule(shop=SHOP, trouble=st.sampled_from(sorted(TROUBLES)), times=st.integers(1, 3))
    def kra_misbehaves(self, shop: int, trouble: str, times: int) -> None:
        self.misbehave(self.sick[shop], trouble, times)

    def misbehave(self, counter: Counter, trouble: str, times: int = 1) -> None:
        for fault in TROUBLES[trouble]:
            operation, name, parameters = FAULTS[fault]
            self.street.fault(counter, operation, name, times=times, **parameters)

    @rule(seconds=st.sampled_from(["0.1", "1", "3600"]))
    def kras_clock_moves(self, seconds: str) -> None:
        self.street.simulator.clock(advance_seconds=seconds)

    @rule(process=PROCESS)
    def a_process_dies(self, process: int) -> None:
        self.street.kill(self.process(process))
        self.street.start_process()

    @rule(shops=st.lists(SHOP, min_size=1, max_size=4), process=PROCESS, milliseconds=st.integers(0, 30))
    def a_process_dies_while_tills_wait(self, shops: list[int], process: int, milliseconds: int) -> None:
        """Nobody knows what was kept; the tills post the same again, as tills do."""
        step = next(self.steps)
        stories = [self.new_story(self.sick[shop], step) for shop in shops]
        sales = [(story.counter, story.sale) for story in stories]
        self.street.post_and_kill(self.process(process), sales, after_seconds=milliseconds / 1000)
        self.street.start_process()
        answers = self.street.post(self.process(process), *sales)
        for story, heard in zip(stories, answers, strict=True):
            self.hear(story, heard)

    @precondition(lambda self: len(self.street.processes) > 1)
    @rule(process=PROCESS, knows=st.booleans())
    def a_process_is_not_heard_of_for_a_while(self, process: int, knows: bool) -> None:
        """Others take its lanes while its turns still run; it may notice before it sends, or only after."""
        engine = self.process(process).engine
        if knows:
            engine.lease_until = 0.0
        self.street.do(partial(expire, engine.store))

    @rule(shop=SHOP)
    def an_operator_holds_or_releases_a_lane(self, shop: int) -> None:
        counter = self.sick[shop]
        if held(counter):
            self.street.do(partial(release_lane, counter.lane_id, actor="operator"))
        else:
            self.street.do(partial(hold_lane, counter.lane_id, reason="counting the till", actor="operator"))

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
        wrong = sys.exc_info()[1]
        try:
            if wrong is None and self.street.processes:
                self.everything_settles()
        except AssertionError as error:
            wrong = error
            raise
        finally:
            if isinstance(wrong, AssertionError):
                self.wrongs.append(str(wrong))
            self.opened.__exit__(None, None, None)

    def everything_settles(self) -> None:
        """KRA is well, operators release what is held, one more sale comes to each shop: then nothing is left over."""
        self.street.simulator.clear_faults()
        self.street.simulator.clock(advance_seconds="60")
        for counter in self.street.counters:
            story = self.new_story(counter)
            self.hear(story, *self.street.post(self.street.processes[0], (counter, story.sale)))
        open_ones = Invoice.objects.filter(lane_id__in=self.lanes()).exclude(status__in=FINAL)

        def done() -> bool:
            for lane_id in [counter.lane_id for counter in self.street.counters if held(counter)]:
                self.street.do(partial(release_lane, lane_id, actor="operator"))
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

    # --- choosing. What is drawn never depends on how far the engines have come, or no story could be told twice.

    def process(self, position: int) -> Process:
        return self.street.processes[position % len(self.street.processes)]

    def story(self, position: int, *, status: str = "") -> Story:
        """A sale of before; one with this status if there is any."""
        stories = list(self.stories.values())
        if status:
            wanted = Invoice.objects.filter(lane_id__in=self.lanes(), status=status)
            named = {str(public_id) for public_id in wanted.values_list("public_id", flat=True)}
            stories = [story for story in stories if story.public_id in named] or stories
        return stories[position % len(stories)]

    def new_story(self, counter: Counter, step: int = 0) -> Story:
        position = len(self.stories) + 1
        sale = counter.sale(f"POS-{position}", quantity=position % 7 + 1)
        story = self.stories[sale.reference] = Story(counter, sale, step or next(self.steps))
        return story

    def hear(self, story: Story, heard: Outcome | Exception) -> None:
        """A 2xx names the document for ever; with a well database every sale gets one."""
        assert isinstance(heard, Outcome), heard
        public_id = str(uuid.UUID(str(heard.row["public_id"])))
        assert story.public_id in ("", public_id), "I1: one reference, two documents"
        story.public_id = public_id


@pytest.fixture
def database(url: str, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), pointed_at(url):
        yield


def profile() -> settings:
    """Few examples with many steps; with the profile `thorough` far more of both, and other ones each time."""
    is_thorough = settings.get_current_profile_name() == "thorough"
    return settings(
        max_examples=150 if is_thorough else 15,
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
    Trade.wrongs.clear()

    class ThisTrade(Trade):
        """With this run's simulator and settings."""

        def __init__(self) -> None:
            super().__init__(simulator, settings)

    try:
        run_state_machine_as_test(ThisTrade, settings=profile())
    except Flaky:
        # The engines run in real time, so a story that went wrong may go well when it is told again
        assert not Trade.wrongs, f"found, and not found again when the story was repeated: {Trade.wrongs}"
        raise
