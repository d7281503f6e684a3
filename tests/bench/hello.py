"""A bare HTTP server of the gateway's kind that answers `ok`: `python -m tests.bench.hello --port N`."""

import argparse
from typing import Any

import uvicorn

OK = b'{"status":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(OK))]


async def ok(scope: Any, receive: Any, send: Any) -> None:
    """Read what was sent, and answer."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
    await send({"type": "http.response.body", "body": OK})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hello", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(ok, port=parser.parse_args().port, log_level="warning", access_log=False, lifespan="off")
