"""Published figures, to stand beside ours; all in percent, none of them measured by this project.

From the tables of PADing (CVPR 2023) and ZegFormer (CVPR 2022), from the README of PADing's released code, and from
PADing's project page (boxes). The images are COCO's: beside scores of another data set these figures show which way a
change should go, not how far.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Groups(NamedTuple):
    """One quality: on seen classes, on unseen classes, and their harmonic mean; None where nothing was printed."""

    seen: float | None
    unseen: float | None
    hm: float | None


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One line of a published table. `method` is the row of ours that it corresponds to; empty where there is none."""

    source: str
    benchmark: str  # a split of `pading.splits.published`
    row: str  # as printed
    method: str
    qualities: dict[str, Groups]


@dataclass(frozen=True, kw_only=True)
class PublishedGain:
    """A difference that was published without the values that it lies between."""

    source: str
    table: str  # the one of ours that it belongs to
    text: str


TABLE_1, TABLE_4, TABLE_5 = "PADing, Tab. 1", "PADing, Tab. 4", "PADing, Tab. 5"
RELEASED, PROJECT_PAGE = "PADing, released code", "PADing, project page"
PANOPTIC, STUFF = "coco-panoptic-119-14", "coco-stuff-156-15"
INSTANCES_48, INSTANCES_65 = "coco-instances-48-17", "coco-instances-65-15"

# source, row, method, then seen PQ SQ RQ, unseen PQ SQ RQ, harmonic mean PQ SQ RQ
_PANOPTIC_ROWS = (
    (TABLE_1, "Supervised", "supervised", (43.2, 80.8, 51.6), (0.0, 0.0, 0.0), (None, None, None)),
    (TABLE_1, "Projection", "projection", (43.3, 80.9, 51.7), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    (TABLE_1, "Baseline (GMMN)", "gmmn", (40.1, 80.1, 48.2), (4.9, 48.5, 5.8), (8.7, 60.4, 10.3)),
    (TABLE_1, "P-only", "primitive", (38.9, 79.9, 46.2), (11.5, 56.5, 13.8), (17.7, 66.1, 21.2)),
    (TABLE_1, "P&A", "primitive+align", (38.4, 79.2, 45.8), (13.8, 52.7, 16.4), (20.3, 63.2, 24.1)),
    (TABLE_1, "PADing", "pading", (41.5, 80.6, 49.7), (15.3, 72.8, 18.4), (22.3, 76.5, 26.8)),
    (RELEASED, "PADing", "pading", (37.7, 79.0, 44.8), (14.4, 75.3, 17.4), (20.8, 77.1, 25.1)),
)
# source, row, method, seen, unseen, harmonic mean of mIoU
_SEMANTIC_ROWS = (
    (TABLE_4, "SPNet", "", 35.2, 8.7, 14.0),
    (TABLE_4, "ZS3", "gmmn", 34.7, 9.5, 15.0),
    (TABLE_4, "CaGNet", "", 33.5, 12.2, 18.2),  # as printed; 18.2 belongs to the 35.5 that others print
    (TABLE_4, "SIGN", "", 32.3, 15.5, 20.9),
    (TABLE_4, "Zsseg-seg", "", 38.7, 4.9, 8.7),
    (TABLE_4, "ZegFormer-seg", "projection", 37.4, 21.4, 27.2),
    (TABLE_4, "PADing", "pading", 40.4, 24.8, 30.7),
    (RELEASED, "PADing", "pading", 40.6, 26.4, 32.0),
)
# benchmark, source, row, method, (AP50, Recall@100) of seen, unseen, harmonic mean
_INSTANCE_ROWS = (
    (INSTANCES_48, TABLE_5, "ZSI", "", (43.0, 64.4), (3.6, 44.9), (6.7, 52.9)),
    (INSTANCES_48, TABLE_5, "PADing", "pading", (53.0, 75.1), (8.0, 47.5), (13.9, 58.2)),
    (INSTANCES_48, RELEASED, "PADing", "pading", (53.1, None), (8.5, None), (14.7, None)),
    (INSTANCES_65, TABLE_5, "ZSI", "", (35.7, 62.5), (10.4, 49.9), (16.2, 55.5)),
    (INSTANCES_65, TABLE_5, "PADing", "pading", (41.8, 73.2), (13.9, 51.3), (20.9, 60.3)),
)
_BOX_ROWS = (
    (INSTANCES_48, PROJECT_PAGE, "DSES", "", (None, 15.0), (None, 15.3), (None, 15.1)),
    (INSTANCES_48, PROJECT_PAGE, "PL", "", (35.9, 38.2), (4.1, 26.3), (7.3, 31.1)),
    (INSTANCES_48, PROJECT_PAGE, "BLC", "", (42.1, 57.5), (4.5, 46.3), (8.2, 51.3)),
    (INSTANCES_48, PROJECT_PAGE, "ZSI", "", (46.5, 70.7), (4.8, 53.8), (8.7, 61.1)),
    (INSTANCES_48, PROJECT_PAGE, "PADing", "pading", (52.8, 76.0), (7.9, 53.3), (13.8, 62.7)),
    (INSTANCES_65, PROJECT_PAGE, "PL", "", (34.0, 36.3), (12.4, 37.1), (18.1, 36.7)),
    (INSTANCES_65, PROJECT_PAGE, "BLC", "", (36.0, 56.3), (13.1, 51.6), (19.2, 53.9)),
    (INSTANCES_65, PROJECT_PAGE, "ZSI", "", (38.6, 67.1), (13.6, 58.9), (20.1, 62.7)),
    (INSTANCES_65, PROJECT_PAGE, "PADing", "pading", (41.7, 74.3), (13.9, 54.8), (20.8, 63.1)),
)

PUBLISHED_GAINS = (
    PublishedGain(
        source="PADing, text on Tab. 3",
        table="primitives",
        text="+4.2 from 100 to 400 primitives (the quality is not named), slightly less beyond",
    ),
)


def published_rows() -> tuple[PublishedRow, ...]:
    """Return every line, table by table."""
    panoptic = (
        PublishedRow(
            source=source,
            benchmark=PANOPTIC,
            row=row,
            method=method,
            qualities={
                name: Groups(*values)
                for name, values in zip(("pq", "sq", "rq"), zip(seen, unseen, hm, strict=True), strict=True)
            },
        )
        for source, row, method, seen, unseen, hm in _PANOPTIC_ROWS
    )
    semantic = (
        PublishedRow(source=source, benchmark=STUFF, row=row, method=method, qualities={"miou": Groups(*values)})
        for source, row, method, *values in _SEMANTIC_ROWS
    )
    instance = (
        PublishedRow(
            source=source,
            benchmark=benchmark,
            row=row,
            method=method,
            qualities={
                name: Groups(*values) for name, values in zip(names, zip(seen, unseen, hm, strict=True), strict=True)
            },
        )
        for names, rows in ((("ap50", "recall100"), _INSTANCE_ROWS), (("box_ap50", "box_recall100"), _BOX_ROWS))
        for benchmark, source, row, method, seen, unseen, hm in rows
    )
    return (*panoptic, *semantic, *instance)


def published_beside(task: str, split: str) -> list[PublishedRow]:
    """Return the lines to print beside scores of a task: of the split itself, or of the one that PADing starts from.

    Empty for a task that nobody published figures of.
    """
    usual = {"panoptic": PANOPTIC, "semantic": STUFF, "instance": INSTANCES_48}
    benchmark = split if split in (INSTANCES_48, INSTANCES_65) else usual.get(task)
    return [row for row in published_rows() if row.benchmark == benchmark and row.source != PROJECT_PAGE]
