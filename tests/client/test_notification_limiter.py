"""Insert notifications are few, and none is lost for it."""

import asyncio

from riverrun.client.notification_limiter import NotificationLimiter


async def test_the_first_goes_out_at_once_and_the_rest_as_one_when_the_cooldown_is_over() -> None:
    sent: asyncio.Queue[str] = asyncio.Queue()
    limiter = NotificationLimiter(0.01, sent.put)

    assert limiter.allows_or_owes("mail")
    assert [limiter.allows_or_owes("mail") for _ in range(10)] == [False] * 10
    assert await sent.get() == "mail"
    assert sent.empty()
    await limiter.close()


async def test_queues_do_not_hold_each_other_back() -> None:
    sent: asyncio.Queue[str] = asyncio.Queue()
    limiter = NotificationLimiter(60, sent.put)
    assert limiter.allows("mail")
    assert limiter.allows("default")
    assert not limiter.allows("mail")
    await limiter.close()


async def test_closing_drops_what_is_owed_and_leaves_no_task() -> None:
    sent: asyncio.Queue[str] = asyncio.Queue()
    limiter = NotificationLimiter(60, sent.put)
    limiter.allows("mail")
    assert not limiter.allows_or_owes("mail")
    await limiter.close()
    assert sent.empty()
    assert len(asyncio.all_tasks()) == 1


async def test_what_is_owed_is_owed_again_if_somebody_cancelled_the_task_that_was_to_send_it() -> (
    None
):
    sent: asyncio.Queue[str] = asyncio.Queue()
    limiter = NotificationLimiter(0.01, sent.put)
    limiter.allows("mail")
    limiter.allows_or_owes("mail")
    lost = asyncio.all_tasks() - {asyncio.current_task()}
    for task in lost:
        task.cancel()
    await asyncio.wait(lost)
    assert not limiter.allows_or_owes("mail")
    assert await sent.get() == "mail"
    await limiter.close()
