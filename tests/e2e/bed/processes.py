"""Background programs of the tests, each ended by the one that started it."""

import contextlib
import os
import signal
import socket
import subprocess
import time


def free_port():
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(question, seconds=20, what="something", pause=0.05):
    """Asks until the answer is true (it is returned); errors of the network count as no."""
    end = time.monotonic() + seconds
    while True:
        last = None
        try:
            answer = question()
            if answer:
                return answer
        except (OSError, AssertionError, KeyError, IndexError) as error:
            last = error
        except Exception as error:  # what HTTP clients raise when nobody listens
            if type(error).__module__.split(".")[0] not in ("httpx", "httpcore", "websockets"):
                raise
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come about within {seconds} s{f': {last!r}' if last else ''}")
        time.sleep(pause)


class Program:
    """A background program with a log file."""

    def __init__(self, name, argv, environment, log, cwd=None):
        self.name, self.argv, self.environment, self.log, self.cwd = name, argv, environment, log, cwd
        self.process = None

    @property
    def running(self):
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Starts it."""
        assert not self.running, f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cwd, start_new_session=True
            )

    def stop(self, seconds=15):
        """Asks it to end, and waits."""
        if not self.running:
            return
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            return
        self.kill()

    def kill(self):
        """Ends it at once, as a crash would."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def freeze(self):
        """Stops it where it is, as a machine that hangs would."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        """Lets it go on."""
        if self.running:
            os.kill(self.process.pid, signal.SIGCONT)

    def tail(self, lines=40):
        """The end of its log."""
        try:
            with open(self.log, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except OSError:
            return ""
