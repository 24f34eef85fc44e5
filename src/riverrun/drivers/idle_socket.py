"""What an idle connection's socket tells before anything is sent on it."""

import select


def has_news(fileno: int) -> bool:
    """Whether the server has said something that nobody has read, which on an idle connection is good-bye."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([fileno], [], [], 0)[0])
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return bool(poll.poll(0))
