"""Everything that the page of a leaderboard shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pading.evaluate.board.feature_planes import FeaturePlanes
from pading.evaluate.board.findings import (
    ClassScores,
    Curve,
    PairedComparison,
    read_class_scores,
    read_comparisons,
    read_curves,
)
from pading.evaluate.panel_files import Panels, read_panels

PANELS = "panels"  # folder of an evaluation


@dataclass(frozen=True, kw_only=True, eq=False)
class Board:
    """Rows, and what else was measured; None where it was not."""

    rows: Sequence[dict[str, Any]]
    split: str = ""
    notes: Sequence[str] = ()
    curves: tuple[Curve, ...] | None = None
    class_scores: ClassScores | None = None
    comparisons: tuple[PairedComparison, ...] | None = None
    panels: Panels | None = None
    planes: FeaturePlanes | None = None


def read_board(
    evaluation: Path, rows: Sequence[dict[str, Any]], split: str, notes: Sequence[str], planes: FeaturePlanes | None
) -> Board:
    """Return the board of rows with what an evaluation left beside them.

    Raises:
        DataError: if one of its files is damaged.
        MissingFileError: if a picture is missing that the others are there for.
    """
    return Board(
        rows=rows,
        split=split,
        notes=notes,
        curves=read_curves(evaluation),
        class_scores=read_class_scores(evaluation),
        comparisons=read_comparisons(evaluation),
        panels=read_panels(evaluation / PANELS),
        planes=planes,
    )
