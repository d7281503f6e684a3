"""Lets only so many pass each time the event loop goes round, so that what is quick never waits for a whole crowd."""

import asyncio
from collections import deque


class Turnstile:
    """`await pass_through()` before work that keeps the loop for a while; who came first goes first.

    Tasks that become ready together run one after another before the loop looks at anything else: 400 sales at once
    would keep a health check, and the sale that comes a moment later, waiting for all of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turns = False  # when the loop comes round

    async def pass_through(self) -> None:
        """At once, or when it is our turn."""
        loop = asyncio.get_running_loop()
        if not self._turns:
            self._turns = True
            loop.call_soon(self._turn)
        if self._left and not self._waiting:
            self._left -= 1
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _turn(self) -> None:
        self._left, self._turns = self._most, False
        while self._waiting and self._left:
            if not (first := self._waiting.popleft()).done():  # who went away needs no place
                first.set_result(None)
                self._left -= 1
        if self._waiting:
            self._turns = True
            asyncio.get_running_loop().call_soon(self._turn)
