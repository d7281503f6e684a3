"""Programs beside ours: awaited, ended in order, and named when they die."""

import os
import select
import signal
import socket
import subprocess
import sys

import pytest

from gateway.ops.children import Child, ChildDied, answers, free_port, is_free

SAYS_AND_DIES = "print('no database today'); raise SystemExit(3)"
LISTENS_AND_SAYS_GOODBYE = """
import signal, socket, sys
def bye(*_):
    print("goodbye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
door = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    door.accept()
"""


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def test_a_child_that_dies_is_named_with_its_log(tmp_path):
    child = Child("The till", python(SAYS_AND_DIES), log=tmp_path / "till.log")
    with pytest.raises(ChildDied, match=r"(?s)The till ended with code 3\. Its log is .*till\.log:\nno database today"):
        child.wait_until(lambda: False)


def test_a_child_that_never_gets_ready_is_named_too(tmp_path):
    child = Child("The till", ["sleep", "60"], log=tmp_path / "till.log")
    with pytest.raises(ChildDied, match="did not start in time"):
        child.wait_until(lambda: False, seconds=0.1)
    child.stop()
    assert child.has_ended


def test_a_child_is_asked_to_end_before_it_is_killed(tmp_path):
    port, log = free_port(), tmp_path / "till.log"
    child = Child("The till", python(LISTENS_AND_SAYS_GOODBYE, str(port)), log=log)
    child.wait_until(lambda: answers(port))
    assert not is_free(port)
    child.stop()
    assert log.read_text() == "goodbye\n"
    assert is_free(port)


def test_a_child_that_does_not_listen_is_killed(tmp_path):
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    child = Child("The till", python(deaf), log=tmp_path / "till.log")
    child.wait_until(lambda: "deaf" in (tmp_path / "till.log").read_text())
    child.stop(seconds=0.1)
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_child_does_not_outlive_us_when_we_are_killed(tmp_path):
    parent = f"""
import os, signal
from pathlib import Path
from gateway.ops.children import Child, answers
program, port = {LISTENS_AND_SAYS_GOODBYE!r}, {free_port()}
child = Child("x", [{sys.executable!r}, "-c", program, str(port)], log=Path({str(tmp_path / "log")!r}))
child.wait_until(lambda: answers(port))
print(child.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(python(parent), capture_output=True, text=True, check=False)
    try:
        child = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return  # gone already
    try:
        assert select.select([child], [], [], 10)[0], "the child is still alive"  # readable: it ended
    finally:
        os.close(child)


def test_a_port_that_somebody_listens_on_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as door:
        assert not is_free(door.getsockname()[1])
