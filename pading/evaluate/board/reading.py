"""What a reader must know: how to read the page, what its columns mean, what the marks stand for."""

import html
import re
from collections.abc import Sequence

from pading.evaluate.leaderboard import AREA, LEAKY_NOTE, NAMES

GUIDE = (
    (
        "Seen and unseen.",
        "Every model here segments photos. It was trained on the seen classes; of an unseen class it knows nothing but "
        "the name. In every image both kinds compete, and nothing tells the model which it will meet "
        "(generalized zero-shot).",
    ),
    (
        "Read the HM column first.",
        "The harmonic mean of seen and unseen is high only if both are, and it decides the order. "
        "A model that never dares to name an unseen class has 0.",
    ),
    (
        "Mind the spread.",
        "± is the standard deviation over seeds: the same method, fitted again by other random numbers. "
        "[low, high] is a 95 % interval over images: what other images of the same kind could have given.",
    ),
)
QUALITIES = {
    "pq": "Panoptic quality, SQ × RQ for each class: every pixel belongs to one segment, and segments are matched.",
    "sq": "Segmentation quality: mean overlap (IoU) of the segments that were found.",
    "rq": "Recognition quality: how many were found and named rightly, against those missed or made up (an F1 score).",
    "miou": "Mean over classes of the overlap (IoU) of all pixels named a class with all that are it.",
    "ap50": "Average precision of things, one by one; an overlap (IoU) above 0.5 counts as found.",
    "recall100": "Share of things found among the 100 most confident answers, overlap (IoU) above 0.5.",
    AREA: "Area under the curve of unseen over seen quality while a penalty on seen classes goes from its least to "
    "its most, in percent of the unit square: how good a method can be at every trade-off, not only the chosen one.",
}
PICTURES = (
    "Validation images with many unseen things. Unseen classes have a white outline and a star; dark grey "
    "is what a method left unnamed. Every method with its first seed."
)
FEATURES = (
    "A generator makes features of a class from its name; the classifier learns unseen classes from these alone. Dots "
    "are real features (val queries on true segments of unseen classes), crosses synthetic ones; a line leads from the "
    "middle of the crosses to the middle of the dots. Crosses should lie on the dots of their colour. t-SNE, one plane "
    "for all drawings; far distances mean little. Look here to understand a result, never to choose a setting."
)


def guide() -> str:
    """Return how to read the page, in three steps, and a list of what the columns mean behind a click."""
    steps = "".join(f"<li><b>{title}</b> {html.escape(text)}</li>" for title, text in GUIDE)
    names = {**NAMES, AREA: "AUSUC"}
    terms = "".join(f"<dt>{names[key]}</dt><dd>{html.escape(text)}</dd>" for key, text in QUALITIES.items())
    return (
        f"<section class=guide><h2>How to read this</h2><ul>{steps}</ul>"
        f"<details><summary>What the columns mean</summary><dl>{terms}</dl></details></section>"
    )


def footer(notes: Sequence[str], is_leaky: bool, missing: Sequence[str]) -> list[str]:
    """Return what the scores were made with, what the marks mean, and which parts of the page are not there."""
    lines = [f"<p>{_marked_up(note)}</p>" for note in notes]
    lines.append("<p>* marks an unseen class. Classes that no image holds are left out of means.</p>")
    if is_leaky:
        lines.append(f"<p class=warning>{LEAKY_NOTE}</p>")
    if missing:
        text = (
            f"Not measured in this run: {', '.join(missing)}. Score again with `--from evaluate --force` to have them."
        )
        lines.append(f"<p>{html.escape(text)}</p>")
    return ["<section id=notes><h2>Notes</h2>", *lines, "</section>"]


def _marked_up(note: str) -> str:
    """Return a note as HTML; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(note))
