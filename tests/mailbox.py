"""A mail server that takes everything (RFC 5321, as far as it goes), for gateways in a process of their own."""

import contextlib
import email
import socketserver
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default


class Mailbox(socketserver.ThreadingTCPServer):
    """Listens on a free port of this machine; keeps what comes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[EmailMessage] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def newest(self, to: str, *, after: int = 0, seconds: float = 20) -> str:
        """The text of the newest mail to an address, once there are more than `after` mails to it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if len(found := [mail for mail in self.mails if mail["To"] == to]) > after:
                body = found[-1].get_body(("plain",))
                assert body is not None
                return str(body.get_content())
            time.sleep(0.05)
        raise AssertionError(f"no mail to {to}; there are {[mail['To'] for mail in self.mails]}")


class _Conversation(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self._say("220 tests")
        while line := self.rfile.readline().decode().strip().upper():
            if line == "DATA":
                self._say("354 go on")
                self._take()
            elif line == "QUIT":
                self._say("221 bye")
                return
            self._say("250 ok")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = email.message_from_bytes(b"".join(lines), policy=default)
        assert isinstance(message, EmailMessage)
        self.server.mails.append(message)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextlib.contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mailbox until the block ends."""
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, name="mailbox", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
