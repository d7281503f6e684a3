"""HTTP/1.1 as uvicorn speaks it, but with an end to how long a request's head may be.

uvicorn's parser gathers a head for as long as bytes come, so that one slow caller could fill the memory before any
route, or limit, sees the request.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 65_536  # `api.door` answers whoever is over half of it with a problem document; this ends the rest

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection whose request head is not complete after 64 KB."""

    _head_bytes: int | None = None  # of the head that is being read; None while none is

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()
