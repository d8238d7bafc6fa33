"""Progress lines with an ETA that read well in a plain log."""

import sys
import time
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Counts finished items of one piece of work and prints a line now and then."""

    label: str
    total: int
    every_s: float = 5.0
    begun: int = 0  # items that were finished before this process began
    start: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` of `total` items are finished; prints at most one line in `every_s` seconds, and the last."""
        now = time.monotonic()
        if done < self.total and now - self.last < self.every_s:
            return
        self.last = now
        elapsed = now - self.start
        rate = (done - self.begun) / elapsed if elapsed > 0 else 0.0
        left = format_seconds((self.total - done) / rate) if rate > 0 else "?"
        tail = f"; {note}" if note else ""
        share = 100 * done / max(self.total, 1)
        say(f"  {self.label}: {done}/{self.total} ({share:.0f} %), {rate:.3g}/s, ETA {left}{tail}")


def say(line: str) -> None:
    """Print one line for people, at once."""
    print(line, flush=True)


def complain(line: str) -> None:
    """Print one line on stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """Return `42s`, `3m05s` or `2h07m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
