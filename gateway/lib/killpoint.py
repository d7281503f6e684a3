"""Die at a named step when the environment asks for it: so fault tests stop a real process exactly where it hurts.

GATEWAY_KILL_AT="after commit:3" kills the process with SIGKILL when it reaches that step for the third time;
"after commit:3:SIGSTOP" lets it freeze there instead. Without the variable a step costs one comparison.
"""

import os
import signal

_step, _count, _signal, *_ = [*os.environ.get("GATEWAY_KILL_AT", "").split(":"), "", ""]
_left = int(_count or 1)


def reached(step: str) -> None:
    """Note that the process is at this step; return, unless it was to die here."""
    global _left
    if step == _step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.Signals[_signal or "SIGKILL"])
