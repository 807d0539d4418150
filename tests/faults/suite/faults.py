"""What is done to whom, in words: a target, a kind, and how long.

    server killed               kill -9, and a new start a moment later
    engine frozen 10            SIGSTOP for 10 s (a process of our own)
    registry refusing 5         its link refuses connections, and breaks those that are open
    buildkit slow 10            its link holds each piece that passes for 0.4 s
    engine silent 10            its link takes connections, and nothing passes
    engine half-open            connections that are open are never heard of again; new ones work
    database reset              connections that are open are broken; new ones work
    data full 5                 the file system of this folder has no room
    clock forward 3600          the server's clock jumps
    worker stopped 5            SIGTERM: it ends in order, and starts again so much later
    … until over                until the action came to its end
    … until another             until another worker has what the one that is hit had

Of several processes a target may be who has the action's job (`worker`), the other worker (`beside`), who does something for
all (`reconciler`, `output`), and the way to the database of one of them (`worker-database`).
"""

import contextlib
import signal
import subprocess
import time

from bed.processes import wait_until

SLOW = 0.4
KINDS = ("killed", "frozen", "stopped", "refusing", "slow", "silent", "half-open", "reset", "full", "forward", "backward")
# These leave nothing to be lifted.
MOMENTARY = ("half-open", "reset", "forward", "backward")


class Fault:
    """One fault."""

    def __init__(self, words):
        self.words = words
        self.target, self.kind, *rest = words.split()
        assert self.kind in KINDS, words
        self.until_over = rest == ["until", "over"]
        self.until_another = rest == ["until", "another"]
        self.seconds = float(rest[0]) if rest and rest[0] != "until" else 0.5
        self.began = self.ended = None
        # What the target was when it was hit.
        self.hit = self.target

    def begin(self, bed):
        """Does it."""
        self.hit = bed.who(self.target)
        self.began = time.monotonic()
        # Inclusive: what was under way a moment before may be hit.
        getattr(self, "_" + self.kind.replace("-", "_"))(bed)

    def end(self, bed):
        """Lifts it, and returns when the target is there again."""
        if self.kind in MOMENTARY:
            pass
        elif self.kind == "killed":
            bed.start(self.hit)
        elif self.kind == "frozen":
            bed.programs[self.hit].thaw()
        elif self.kind == "stopped":
            code = self.told.wait(90)
            # One that was told before it was up had nothing to end in order.
            assert code in (0, -signal.SIGTERM), f"{self.hit}, told to stop, ended with {code}"
            bed.start(self.hit)
        elif self.kind == "full":
            bed.disks[self.hit].free()
            # A database without room may have ended.
            if self.hit in bed.programs:
                bed.start(self.hit)
        else:
            bed.links[self.hit].restore()
        self.ended = time.monotonic()

    # --- The kinds -----------------------------------------------------------------------

    def _killed(self, bed):
        bed.programs[self.hit].kill()

    def _frozen(self, bed):
        bed.programs[self.hit].freeze()

    def _stopped(self, bed):
        # Another fault may start it again meanwhile.
        self.told = bed.programs[self.hit].process
        self.told.terminate()

    def _refusing(self, bed):
        bed.links[self.hit].cut()

    def _slow(self, bed):
        bed.links[self.hit].slow(SLOW)

    def _silent(self, bed):
        bed.links[self.hit].silence()

    def _half_open(self, bed):
        bed.links[self.hit].forget()

    def _reset(self, bed):
        bed.links[self.hit].reset()

    def _full(self, bed):
        bed.disks[self.hit].fill()

    def _forward(self, bed):
        self._jump(bed, self.seconds)

    def _backward(self, bed):
        self._jump(bed, -self.seconds)

    def _jump(self, bed, seconds):
        bed.clock.jump(seconds)
        # A jump that does not reach the server would prove nothing: a write's time tells. (The `Date` of an answer does
        # not go backward.)
        newest = "SELECT updated_at_ms AS at FROM env_vars ORDER BY rowid DESC LIMIT 1"
        ahead = lambda: bed.state.rows(newest)[0]["at"] / 1000 - time.time()  # noqa: E731
        wait_until(lambda: abs(ahead() - bed.clock.offset) < 60, 20, f"a write whose time is {bed.clock.offset:+.0f} s away")


class Disk:
    """A small file system at a folder, which can be filled."""

    def __init__(self, folder, megabytes):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "click-deploy-faults", str(folder)], check=True)

    def fill(self):
        """Leaves no room."""
        with contextlib.suppress(OSError), open(self.folder / ".filler", "wb", buffering=0) as filler:
            while True:
                filler.write(b"\0" * 4096)
        # The last page of a log that is there has room yet.
        for log in self.folder.glob("*.log"):
            with contextlib.suppress(OSError), open(log, "ab", buffering=0) as end:
                while True:
                    end.write(b"\n")

    def free(self):
        """Gives the room back."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / ".filler").unlink()

    def remove(self):
        """Takes the file system away, unless whoever lived in it did that."""
        if self.folder.is_mount():
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)


class Clock:
    """The clock of one program, moved by libfaketime; what measures durations goes on as it was."""

    def __init__(self, library, file):
        self.file, self.offset = file, 0.0
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.jump(0)

    def jump(self, seconds):
        """Moves it."""
        self.offset += seconds
        part = self.file.with_suffix(".part")
        part.write_text(f"{self.offset:+.0f}\n")
        part.rename(self.file)
