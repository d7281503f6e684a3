"""Whether a host answers at all: one GET without credentials, no message of KRA's protocol, nothing is sold."""

import asyncio
import contextlib
import email.utils
from datetime import UTC, datetime
from enum import StrEnum
from time import perf_counter

import aiohttp
import msgspec

from gateway.kra.profiles import host_of
from gateway.lib.clock import utc_now

SLOW_SECONDS = 3.0
LONGEST_SECONDS = 8.0


class Reached(StrEnum):
    REACHABLE = "reachable"
    SLOW = "slow"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    UNKNOWN_HOST = "unknown_host"
    WRONG_CERTIFICATE = "wrong_certificate"


DETAILS = {
    Reached.REACHABLE: "The host answers.",
    Reached.SLOW: f"The host answers, after more than {SLOW_SECONDS:.0f} seconds.",
    Reached.NO_ANSWER: f"The host was connected to, or tried, and did not answer within {LONGEST_SECONDS:.0f} seconds.",
    Reached.REFUSED: "Nobody listens at this address, or a firewall refuses us.",
    Reached.UNKNOWN_HOST: "The name leads to no address where we may look for it. Check the name and the DNS.",
    Reached.WRONG_CERTIFICATE: "The host shows a certificate that is not its own, has expired, or is signed by nobody "
    "we trust. Nothing was sent.",
}


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How a host answered. `clock_difference_seconds` is its clock minus ours, if it told the time."""

    host: str
    outcome: Reached
    duration_ms: int
    http_status: int | None = None
    clock_difference_seconds: int | None = None

    @property
    def detail(self) -> str:
        return DETAILS[self.outcome]


async def probe(url: str, *, session: aiohttp.ClientSession, seconds: float = LONGEST_SECONDS) -> Probe:
    """Knock at a host and see whether somebody opens; never longer than the seconds, never raises."""
    began, host = perf_counter(), host_of(url)
    status, clock = None, None
    try:
        async with (
            asyncio.timeout(seconds),
            session.get(url, allow_redirects=False, timeout=aiohttp.ClientTimeout(seconds)) as answer,
        ):
            status, clock = answer.status, _clock_difference(answer.headers.get("Date"))
        outcome = Reached.SLOW if perf_counter() - began > SLOW_SECONDS else Reached.REACHABLE
    except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError):
        outcome = Reached.WRONG_CERTIFICATE
    except (aiohttp.ClientConnectorDNSError, aiohttp.InvalidURL):
        outcome = Reached.UNKNOWN_HOST
    except (aiohttp.ConnectionTimeoutError, TimeoutError):
        outcome = Reached.NO_ANSWER
    except aiohttp.ClientConnectorError:
        outcome = Reached.REFUSED
    except (aiohttp.ClientError, OSError):
        outcome = Reached.NO_ANSWER
    took = round((perf_counter() - began) * 1000)
    return Probe(host=host, outcome=outcome, duration_ms=took, http_status=status, clock_difference_seconds=clock)


def _clock_difference(date: str | None) -> int | None:
    moment: datetime | None = None
    with contextlib.suppress(ValueError, TypeError):
        moment = email.utils.parsedate_to_datetime(date or "")
    if moment is None:
        return None
    return round(((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - utc_now()).total_seconds())
