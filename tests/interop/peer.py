"""A River client in a process of its own, in Go or Python: asked and heard by lines of JSON.

Both programs understand the same requests (`interop/main.go` says how they look), so that a test can
be run both ways round. A process serves one test after the other, unless a test kills it.
"""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.interop.program import GO_RIVER

COMMANDS = {
    "go": (str(GO_RIVER),),
    "python": (sys.executable, "-m", "tests.interop.python_river"),
}
ROOT = Path(__file__).parents[2]

Message = dict[str, Any]


class RefusedError(Exception):
    """What the other program answered instead of a result."""


class Peer:
    """One running program. Events are kept until a test asks for them."""

    def __init__(self, language: str, news: threading.Condition) -> None:
        self.language = language
        self.heard: Counter[str] = Counter()
        """How many events of each name there were, asked for or not."""
        self._process = subprocess.Popen(
            COMMANDS[language], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answers: SimpleQueue[Message] = SimpleQueue()
        self._events: list[Message] = []
        self._news = news
        self._asked = 0
        self._has_ended = False
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def ask(self, do: str, what: object = None) -> Any:
        """The result of one request; raises `RefusedError`."""
        self._asked += 1
        line = json.dumps({"id": self._asked, "do": do, "with": what})
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        answer = self._answers.get()
        assert answer.get("id") == self._asked, f"{self.language} ended: {answer}"
        if "error" in answer:
            raise RefusedError(f"{self.language}: {answer['error']}")
        return answer["result"]

    def insert(self, do: str, *, note: str = "", **options: Any) -> Message:
        """The row of one task."""
        args = {"do": do, "note": note}
        (inserted,) = self.ask("insert", [{"kind": "interop_task", "args": args, **options}])
        row: Message = inserted["job"]
        return row

    def start(self, queues: Sequence[str] = ("default",), **settings: Any) -> None:
        """Work these queues, ten jobs of each at a time."""
        numbers = dict.fromkeys(queues, 10)
        self.ask("start", {"id": self.language, "queues": numbers, **settings})

    def event(self, *names: str, job_id: int | None = None) -> Message:
        """The first event of these names, about that job if one is given; it is not given again."""

        def fits(event: Message) -> bool:
            return event["event"] in names and job_id in (None, event.get("job", {}).get("id"))

        return self._wait(fits)

    def ended(self, job_id: int) -> Message:
        """The row with the event that ends the next attempt of the job."""

        def fits(event: Message) -> bool:
            return event["event"].startswith("job_") and event["job"]["id"] == job_id

        row: Message = self._wait(fits)["job"]
        return row

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it as a crash of its machine would."""
        self._process.kill()
        self._close_input()
        self._process.wait()
        self._reading.join()

    def forget(self) -> None:
        """Close its database, so that the next test may open another."""
        self.ask("close")
        with self._news:
            self._events.clear()
            self.heard.clear()

    def end(self) -> None:
        """End it in good order, by the end of its input."""
        self._close_input()
        assert self._process.wait(10) == 0
        self._reading.join()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _wait(self, fits: Callable[[Message], bool]) -> Message:
        with self._news:
            while not (found := [event for event in self._events if fits(event)]):
                assert not self._has_ended, f"{self.language} ended: {self._events}"
                self._news.wait()
            self._events.remove(found[0])
            return found[0]

    def _read(self) -> None:
        """Until the process ends; then nobody waits any more."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._hear(json.loads(line))
        self._answers.put({})
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def _hear(self, message: Message) -> None:
        if "event" not in message:
            self._answers.put(message)
            return
        with self._news:
            self._events.append(message)
            self.heard[message["event"]] += 1
            self._news.notify_all()


class Peers:
    """The processes of a whole run: begun when they are needed, and used again."""

    def __init__(self) -> None:
        self._all: list[Peer] = []
        self._free: list[Peer] = []
        self._news = threading.Condition()

    def take(self, language: str, url: str) -> Peer:
        """A client of the database at `url`."""
        peer = next((each for each in self._free if each.language == language), None)
        if peer is None:
            peer = Peer(language, self._news)
            self._all.append(peer)
        else:
            self._free.remove(peer)
        peer.ask("open", url)
        return peer

    def give_back(self, peer: Peer) -> None:
        if peer.lives:
            peer.forget()
            self._free.append(peer)

    def until(self, answer: Callable[[], bool]) -> None:
        """Wait until events have made it true."""
        with self._news:
            self._news.wait_for(answer)

    def end(self) -> None:
        for peer in self._all:
            if peer.lives:
                peer.end()
