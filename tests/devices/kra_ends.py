"""Tiny servers that stand where KRA should be and end a call badly."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Ending:
    """A server on a free port that reads each request and then sends `answer` (nothing when None) and closes."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                self.requests += 1
                if self.answer is not None:
                    connection.sendall(self.answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@contextlib.contextmanager
def ending(body: str | None, status: str = "200 OK") -> Iterator[Ending]:
    """A server that answers every request with this JSON text, or closes without a word."""
    answer = None
    if body is not None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        answer = f"{head}Connection: close\r\n\r\n{body}".encode()
    server = Ending(answer)
    try:
        yield server
    finally:
        server.close()


def refusing() -> str:
    """The address of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
