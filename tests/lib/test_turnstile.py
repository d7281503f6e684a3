import asyncio

from gateway.lib.turnstile import Turnstile


def test_so_many_pass_each_time_the_loop_goes_round_and_in_their_order() -> None:
    rounds, passed = 0, []

    async def one(gate: Turnstile, number: int) -> None:
        await gate.pass_through()
        passed.append((number, rounds))

    async def main() -> None:
        nonlocal rounds
        gate = Turnstile(3)
        tasks = [asyncio.create_task(one(gate, number)) for number in range(10)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            rounds += 1

    asyncio.run(main())
    assert [number for number, _ in passed] == list(range(10))
    each = [sum(seen == one for _, seen in passed) for one in range(rounds)]
    assert max(each) == 3


def test_who_goes_away_while_waiting_takes_nobody_s_place() -> None:
    async def main() -> list[int]:
        gate, passed = Turnstile(1), []

        async def one(number: int) -> None:
            await gate.pass_through()
            passed.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return passed

    assert asyncio.run(main()) == [0, 2, 3]


def test_after_a_crowd_one_passes_at_once() -> None:
    async def main() -> bool:
        gate = Turnstile(2)
        await asyncio.gather(*[gate.pass_through() for _ in range(7)])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = asyncio.create_task(asyncio.sleep(0))  # would run first if it waited
        await gate.pass_through()
        return others.done()

    assert asyncio.run(main()) is False
