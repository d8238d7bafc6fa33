"""The JSON files at the end of `predict`: what its journal holds of all photos and frames, in COCO's formats."""

from collections.abc import Iterator, Sequence
from typing import Any

from jobs.json_lists import write_list, write_lists
from jobs.prediction_journal import Journal
from jobs.result_files import ENDINGS, INSTANCES, PANOPTIC, ResultFiles
from jobs.sources import Source

IMAGE_ID_DIGITS = 18


def write_prediction_lists(journal: Journal, sources: Sequence[Source], files: ResultFiles) -> int:
    """Write the JSON files of all photos and frames that are finished, and return how many these are."""
    finished = [source for source in sources if journal.has(source.name, source.stamp)]
    names = [name for source in finished for name in _names_of(journal, source)]
    ids = image_ids(names)

    def images() -> Iterator[dict[str, Any]]:
        for image_id, entry in zip(ids, journal.entries(names), strict=True):
            yield {"id": image_id, "file_name": entry["file_name"], "height": entry["height"], "width": entry["width"]}

    def annotations() -> Iterator[dict[str, Any]]:
        for image_id, entry in zip(ids, journal.entries(names), strict=True):
            file_name = f"{entry['name']}{ENDINGS['panoptic']}"
            yield {"image_id": image_id, "file_name": file_name, "segments_info": entry["segments_info"]}

    def instances() -> Iterator[dict[str, Any]]:
        for image_id, entry in zip(ids, journal.entries(names), strict=True):
            for one in entry["instances"]:
                yield {"image_id": image_id, **one}

    if "panoptic" in files.outputs:
        lists = {"images": images(), "annotations": annotations(), "categories": files.categories()}
        write_lists(files.folder / PANOPTIC, lists)
    if "instances" in files.outputs:
        write_list(files.folder / INSTANCES, instances())
    return len(names)


def _names_of(journal: Journal, source: Source) -> list[str]:
    if source.kind == "photo":
        return [source.name]
    (entry,) = journal.entries([source.name])
    frames: list[str] = entry["frames"]
    return frames


def image_ids(names: Sequence[str]) -> list[int]:
    """Return the image id of each name: the number that it is, as in COCO, or, where one is none, its place."""
    stems = [name.rpartition("/")[2] for name in names]
    if all(stem.isascii() and stem.isdigit() and len(stem) <= IMAGE_ID_DIGITS for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(names) + 1))
