"""The whole OpenAPI document as schemathesis reads it, called at a running gateway: nothing is answered with 5xx.

Three kinds of calls of every route, by an owner and by an operator: generated as described, generated as not described,
and the document's own examples with one value spoiled. GENERATED_CALLS says how many of each route, GENERATED_SEED
which ones: `GENERATED_CALLS=3000 GENERATED_SEED=7 pytest tests/journeys/test_generated_calls.py -k owner`.
"""

import copy
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from gateway.api.openapi import schema
from tests import servers
from tests.journeys.house import FILE, House, open_house
from tests.journeys.test_permissions import ROUTES, ROWS, body_of, filled

pytestmark = [pytest.mark.needs_database, pytest.mark.slow, pytest.mark.xdist_group("generated calls")]

CALLS = int(os.environ.get("GENERATED_CALLS", "6"))
SEED = int(os.environ.get("GENERATED_SEED", "1"))
LONG = "x" * 5_000
TEXTS = ["", " ", "\x00", "\ud800", "\u202e", "\U0001f600", "%00", "' OR 1=1 --", "../../etc/passwd", "{{7*7}}", LONG]
NUMBERS: list[Any] = [
    0,
    -1,
    0.1,
    1e-400,
    2**31,
    2**63,
    10**30,
    -(10**30),
    1e308,
    "1e999",
    "NaN",
    "Infinity",
    "-0",
    "1e400000",
]
TIMES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T10:00:00Z", "2026-11-20", "24:00", "0"]
OTHERS: list[Any] = [None, True, [], {}, [[]], {"": ""}, {"$ref": "#"}, "6f9619ff-8b86-d011-b42d-00cf4fc964ff"]
HOSTILE = [*TEXTS, *NUMBERS, *TIMES, *OTHERS]
TRACES = ("Traceback", 'File "', "django.", "sqlite3.", "psycopg")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, simulator_process: servers.Simulator) -> Iterator[House]:
    """A house of these tests' own: afterwards nothing in it is as it was. No limit slows the calls down."""
    folder = tmp_path_factory.mktemp("crowded")
    with ExitStack() as stack:
        url = os.environ["DATABASE_URL"]
        fresh = (
            f"sqlite:///{folder / 'gateway.sqlite3'}"
            if url.startswith("sqlite")
            else stack.enter_context(servers.postgres_database(url))
        )
        yield stack.enter_context(open_house(folder, fresh, simulator_process, LIMIT_PER_KEY="", LIMIT_PER_ADDRESS=""))


def _routes() -> dict[str, Any]:
    found: Iterable[Any] = schemathesis.openapi.from_dict(schema()).get_all_operations()
    return {f"{one.method.upper()} {one.path}": one for one in (result.ok() for result in found)}


OPERATIONS = _routes()
OF_STAFF = [route for route in ROUTES if ROWS[route].staff is not None]


def places(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each value in a body, the body itself included."""
    yield way
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from places(inner, (*way, step))


def spoiled(value: Any, way: tuple[str | int, ...], by: Any) -> Any:
    """The body with one value replaced."""
    if not way:
        return by
    made = copy.deepcopy(value)
    holder = made
    for step in way[:-1]:
        holder = holder[step]
    holder[way[-1]] = by
    return made


@st.composite
def spoiled_calls(draw: st.DrawFn, house: House, route: str) -> tuple[str, str, bytes | None, str]:
    """Method, address, body and content type of a call that is good but for one value of its body or its query."""
    method, address = filled(house, route)
    body, kind = body_of(house, route), "application/json"
    asked = [one["name"] for one in ROUTES[route].get("parameters", []) if one["in"] == "query"]
    if draw(st.booleans()) and asked:
        spoilt = {draw(st.sampled_from(asked)): draw(st.sampled_from([str(one) for one in HOSTILE]))}
        query = urlencode(spoilt, errors="surrogatepass")
        address += ("&" if "?" in address else "?") + query
    if "{" in route and draw(st.integers(0, 5)) == 0:
        parts = address.partition("?")[0].split("/")
        here = draw(st.sampled_from([at for at, step in enumerate(route.partition(" ")[2].split("/")) if "{" in step]))
        parts[here] = quote(draw(st.sampled_from([*TEXTS[1:], *TIMES, str(10**30)])), safe="", errors="surrogatepass")
        address = "/".join(parts)
    if isinstance(body, bytes):
        kind = "multipart/form-data; boundary=x"
        cut = draw(st.integers(0, len(FILE)))
        sent: bytes | None = draw(st.sampled_from([FILE[:cut], FILE.replace(b"tea", b"\xff\x00\xfe"), b"\x00" * cut]))
    elif body is None:
        sent = None
    else:
        way = draw(st.sampled_from(list(places(body))))
        by = draw(st.sampled_from(HOSTILE))
        sent = json.dumps(spoiled(body, way, by)).encode()
        if draw(st.integers(0, 9)) == 0:
            sent = draw(
                st.sampled_from([b"", b"{", b"\xff\xfe", b"[" * 20_000, b'{"a":1e99999}', sent[: len(sent) // 2]])
            )
    return method, address, sent, kind


@pytest.mark.parametrize(
    ("who", "route"), [("owner", route) for route in ROUTES] + [("admin", route) for route in OF_STAFF]
)
def test_whatever_is_sent_no_route_fails(crowded: House, who: str, route: str) -> None:
    gateway, operation, described = crowded.gateway, OPERATIONS[route], ROUTES[route]["responses"]
    headers, real = {"Prefer": "wait=0"}, _real_ids(crowded, route)

    def check(sent: str, status: int, kind: str, text: str) -> None:
        assert status < 500, f"{sent}\n{status} {text}"
        assert not any(trace in text for trace in TRACES), f"{sent}\n{status} {text}"
        kinds = described.get(str(status), {}).get("content")
        assert not kinds or {kind, kind.partition(";")[0]} & set(kinds), f"{sent}\n{status} {kind}"

    @_generating
    @given(case=st.one_of(*(operation.as_strategy(mode) for mode in GenerationMode)), is_real=st.booleans())
    def generated(case: Any, is_real: bool) -> None:
        if is_real:
            case.path_parameters = dict(real)
        if isinstance(case.body, dict) and case.body.get("environment") == "production":
            case.body["environment"] = "sandbox"  # an onboarded device would knock at KRA's own door
        key = {"Authorization": f"Token {crowded.keys[who]}"}
        answer = case.call(base_url=gateway.url, headers={**headers, **key}, timeout=70)
        kind, text = answer.headers.get("content-type", [""])[0], answer.content.decode(errors="replace")
        check(case.as_curl_command(), answer.status_code, kind, text)

    @_generating
    @given(call=spoiled_calls(crowded, route))
    def spoilt(call: tuple[str, str, bytes | None, str]) -> None:
        method, address, body, kind = call
        sent = {**headers, "Content-Type": kind}
        answer = gateway.call(method, address, body, key=crowded.keys[who], headers=sent)
        check(f"{method} {address} {body!r}", answer.status, answer.headers.get("content-type", ""), str(answer.body))

    generated()
    spoilt()


def test_afterwards_the_log_tells_of_no_failure(crowded: House) -> None:
    log = crowded.gateway.log.read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") - 2_000 :][:6_000]


def _real_ids(house: House, route: str) -> dict[str, str]:
    """The values of the path's parameters that name something of Amani's."""
    _, address = filled(house, route)
    steps = zip(route.partition(" ")[2].split("/"), address.partition("?")[0].split("/"), strict=True)
    return {name[1:-1]: value for name, value in steps if name.startswith("{")}


def _generating(test: Any) -> Any:
    """The same calls at each run."""
    chosen = settings(
        max_examples=max(CALLS // 2, 1),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return seed(SEED)(chosen(test))
