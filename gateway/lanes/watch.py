"""How long ago a message that got no answer was sent, by a clock that nobody can set."""

import time
from datetime import datetime

MOST_WATCHED = 20_000


class Watch:
    """Counts from when this process first saw a job's last unanswered try.

    The moment of the try is in the database, by a clock that may have been put on or back since, and perhaps by another
    process's. If it alone decided, a clock that is put right could end the time in which a message may still land. So
    it only tells one try from the next, and who takes over a doubt begins to count anew.
    """

    def __init__(self, late_seconds: float | None = None) -> None:
        self._late_seconds = late_seconds  # None: as each connection profile says
        self._seen: dict[int, tuple[datetime, float]] = {}

    def is_late(self, job_id: int, unanswered_at: datetime | None, profile_seconds: float) -> bool:
        """Whether the try of that moment can land no more; None is no try at all."""
        late = profile_seconds if self._late_seconds is None else self._late_seconds
        return unanswered_at is None or self.seconds(job_id, unanswered_at) >= late

    def seconds(self, job_id: int, unanswered_at: datetime) -> float:
        """How long this process has watched the try of that moment (seconds); 0 when it is new."""
        now = time.monotonic()
        seen = self._seen.get(job_id)
        if seen is not None and seen[0] == unanswered_at:
            return now - seen[1]
        if len(self._seen) >= MOST_WATCHED:
            del self._seen[next(iter(self._seen))]  # the oldest; should it still be watched, it is from the beginning
        self._seen.pop(job_id, None)
        self._seen[job_id] = (unanswered_at, now)
        return 0.0
