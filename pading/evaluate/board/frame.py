"""The plane of seen and unseen quality: axes, grid, and the curves on which the harmonic mean is the same."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pading.evaluate.svg import path, scale

WIDTH, HEIGHT = 520, 400
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 14, 44
NUM_CONTOURS = 5


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A plane whose axes are round numbers; x is seen quality, y unseen."""

    quality: str
    seen: tuple[float, float, list[float]]
    unseen: tuple[float, float, list[float]]

    @staticmethod
    def around(points: Sequence[tuple[float, float]], quality: str) -> "Frame":
        """Return the frame that holds (seen, unseen) points and, where they leave room, none of the negative plane."""
        seen, unseen = zip(*points, strict=True) if points else ((0.0, 1.0), (0.0, 1.0))
        return Frame(quality=quality, seen=_around(seen), unseen=_around(unseen))

    def place(self, seen: float, unseen: float) -> tuple[float, float]:
        """Return where a point lies in the drawing."""
        across = (seen - self.seen[0]) / (self.seen[1] - self.seen[0])
        up = (unseen - self.unseen[0]) / (self.unseen[1] - self.unseen[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def background(self) -> list[str]:
        """Return grid, axes and contours."""
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for tick in self.seen[2]:
            x, _ = self.place(tick, self.unseen[0])
            parts.append(f"<line class=rule x1={x:.1f} x2={x:.1f} y1={TOP} y2={bottom} />")
            parts.append(f"<text class=faint x={x:.1f} y={bottom + 16} text-anchor=middle>{tick:g}</text>")
        for tick in self.unseen[2]:
            _, y = self.place(self.seen[0], tick)
            parts.append(f"<line class=rule x1={LEFT} x2={right} y1={y:.1f} y2={y:.1f} />")
            parts.append(f"<text class=faint x={LEFT - 6} y={y:.1f} dy=4 text-anchor=end>{tick:g}</text>")
        middle = (LEFT + right) / 2
        centre = (TOP + bottom) / 2
        name = html.escape(self.quality)
        return [
            *parts,
            *self._contours(),
            f"<text class=axis x={middle} y={HEIGHT - 8} text-anchor=middle>{name} on seen classes →</text>",
            f"<text class=axis transform='translate(12 {centre}) rotate(-90)' text-anchor=middle>"
            f"{name} on unseen classes →</text>",
        ]

    def _contours(self) -> list[str]:
        """Harmonic mean h of seen s is reached at unseen u = h s / (2 s - h)."""
        top = _harmonic_mean(self.seen[1], self.unseen[1])
        _, _, levels = scale(0.0, max(top, 1e-6))
        wanted = [level for level in levels if 0 < level < top]
        parts = []
        for level in wanted[:: math.ceil(len(wanted) / NUM_CONTOURS)] if wanted else ():
            points = []
            for number in range(81):
                seen = self.seen[0] + number / 80 * (self.seen[1] - self.seen[0])
                if 2 * seen > level:
                    unseen = level * seen / (2 * seen - level)
                    if self.unseen[0] <= unseen <= self.unseen[1]:
                        points.append(self.place(seen, unseen))
            if len(points) > 1:
                x, y = points[-1]
                parts.append(f"<polyline class=contour points='{path(points)}' />")
                parts.append(f"<text class=contour x={x - 3:.1f} y={y - 4:.1f} text-anchor=end>HM {level:g}</text>")
        return parts


def _around(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Return round bounds with a little room on both sides; a range that starts at or above zero stays there."""
    low, high = min(values), max(values)
    room = 0.06 * ((high - low) or max(abs(high), 1.0))
    return scale(max(low - room, min(low, 0.0)), high + room)


def _harmonic_mean(seen: float, unseen: float) -> float:
    return 2 * seen * unseen / (seen + unseen) if seen > 0 and unseen > 0 else 0.0
