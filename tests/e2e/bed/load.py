"""Requests at a steady rate, and pages watched without a pause: each answer is counted, and whatever was wrong is kept."""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from urllib.parse import urlsplit


class Load:
    """Sends so many requests a second to an application, GETs and POSTs in turn, whether or not earlier ones came back."""

    def __init__(self, platform, url, rate, good):
        self.address = ("127.0.0.1", platform.proxy_port)
        self.host = urlsplit(url).netloc
        self.rate, self.good = rate, good
        self.answers, self.wrong, self.sent = Counter(), [], 0
        self.slowest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def check(self):
        """Nothing was lost, and the rate was kept well enough to mean something."""
        assert not self.wrong, f"{len(self.wrong)} of {self.sent} requests went wrong, such as {self.wrong[:5]}"
        assert sum(self.answers.values()) == self.sent > 0

    async def _run(self):
        free, began, tasks, number = [], time.monotonic(), set(), 0
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * self.rate)
            while number < due:
                number += 1
                task = asyncio.create_task(self._one(free, number))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.004)
        if tasks:
            await asyncio.wait(tasks, timeout=20)
        for task in tasks:
            self.wrong.append("an answer never came")
            task.cancel()
        for _, writer in free:
            writer.close()

    async def _one(self, free, number):
        self.sent += 1
        began = time.monotonic()
        body = f"body-{number}" * 20 if number % 3 == 0 else ""
        method = "POST" if body else "GET"
        head = f"{method} /page HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            reader, writer = free.pop() if free else await asyncio.open_connection(*self.address)
            writer.write((head + body).encode())
            status, text, keep = await asyncio.wait_for(read_answer(reader), 20)
            if keep:
                free.append((reader, writer))
            else:
                writer.close()
            version = text.removesuffix(body).strip()
            self.slowest = max(self.slowest, time.monotonic() - began)
            if status == 200 and text.endswith(body) and self.good(version):
                self.answers[version] += 1
            else:
                self.wrong.append((method, status, text[:200]))
        except Exception as error:  # whatever it was, a request was lost
            self.wrong.append((method, repr(error)))


async def read_answer(reader):
    """Status, body, and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), body.decode(), headers.get("connection", "").lower() != "close"


class Watch:
    """Asks one page again and again, and keeps every answer that was not one of those that are allowed."""

    def __init__(self, platform, url, *allowed, pause=0.02):
        self.platform, self.url, self.allowed, self.pause = platform, url, allowed, pause
        self.seen, self.wrong = Counter(), []
        # When each wrong answer was asked for and came, by the monotonic clock.
        self.when = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            self.check()

    def stop(self):
        """Asks no more."""
        self._stop.set()
        self._thread.join(30)

    def check(self):
        """It served all the time."""
        assert self.seen, "the page was never asked for"
        assert not self.wrong, f"{self.url} did not serve all the time: {self.wrong[:5]} ({len(self.wrong)} in all; {dict(self.seen)})"

    def _run(self):
        import httpx

        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._stop.is_set():
                asked, number = time.monotonic(), len(self.wrong)
                try:
                    answer = client.get(self.platform.proxy + "/page", headers={"Host": urlsplit(self.url).netloc})
                    if answer.status_code == 200 and answer.text in self.allowed:
                        self.seen[answer.text] += 1
                    else:
                        self.wrong.append((answer.status_code, answer.text[:200]))
                except Exception as error:  # a request without an answer
                    self.wrong.append(repr(error))
                if len(self.wrong) > number:
                    self.when.append((asked, time.monotonic()))
                time.sleep(self.pause)


class OpenSocket:
    """A WebSocket of an application that is kept open, with a message now and then."""

    def __init__(self, platform, url):
        self.platform, self.host = platform, urlsplit(url).netloc
        self.echoes, self.broken = 0, None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        end = time.monotonic() + 10
        while not self.echoes and self.broken is None and time.monotonic() < end:
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)

    def check(self):
        """It was open all the time."""
        assert self.broken is None, self.broken
        assert self.echoes > 1

    async def _run(self):
        import websockets

        address = f"ws://{self.host}/socket"
        try:
            async with websockets.connect(address, host="127.0.0.1", port=self.platform.proxy_port, proxy=None, ping_interval=None) as socket:
                while not self._stop.is_set():
                    await socket.send(f"message {self.echoes}")
                    answer = await asyncio.wait_for(socket.recv(), 10)
                    assert answer == f"message {self.echoes}"
                    self.echoes += 1
                    await asyncio.sleep(0.05)
        except Exception as error:  # it did not stay open
            with contextlib.suppress(Exception):
                self.broken = f"after {self.echoes} messages: {error!r}"
