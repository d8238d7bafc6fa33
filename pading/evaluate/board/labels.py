"""Names beside points, where they hide neither each other nor a point."""

from collections.abc import Sequence

CHARACTER_PX, HEIGHT_PX = 6.3, 14.0
Box = tuple[float, float, float, float]  # left, top, right, bottom


def place_labels(
    points: Sequence[tuple[float, float]], texts: Sequence[str], inside: Box, gap: float = 8.0
) -> list[tuple[float, float, str] | None]:
    """Return (x, baseline, anchor) of each text, earlier ones first served; None where there is no room for it."""
    half = gap * 0.7
    taken: list[Box] = [(x - half, y - half, x + half, y + half) for x, y in points]
    places: list[tuple[float, float, str] | None] = []
    for (x, y), text in zip(points, texts, strict=True):
        found = None
        width = CHARACTER_PX * len(text)
        for dx, dy, anchor in _around(gap):
            left = {"start": x + dx, "end": x + dx - width, "middle": x + dx - width / 2}[anchor]
            box = (left, y + dy - HEIGHT_PX / 2, left + width, y + dy + HEIGHT_PX / 2)
            if _is_within(box, inside) and not any(_overlap(box, other) for other in taken):
                found = (x + dx, y + dy + 4, anchor)
                taken.append(box)
                break
        places.append(found)
    return places


def _around(gap: float) -> list[tuple[float, float, str]]:
    near = [
        (gap, 0.0, "start"),
        (-gap, 0.0, "end"),
        (0.0, -gap - 5, "middle"),
        (0.0, gap + 5, "middle"),
    ]
    corners = [
        (across * gap, down * (gap + 3), "start" if across > 0 else "end") for down in (-1, 1) for across in (1, -1)
    ]
    far = [
        (across * gap, down * (gap + 15), "start" if across > 0 else "end") for down in (-1, 1) for across in (1, -1)
    ]
    return near + corners + far


def _is_within(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
