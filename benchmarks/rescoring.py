"""The metrics of new classifiers from cached predictions, beside running the network again for each of them.

Both sides score the same images by the same code. One reads what the network said from the cache, for a number of rows
together; the other decodes the photos of the shards and runs the segmenter for one row, upsamples its masks and scores
it. Asked with several numbers of rows: what an image costs once is shared by all of them, so that the ratio grows with
their number up to that of the marginal cost of one row more. On the demo, whose network is tiny, scoring is a large
part of both sides; the larger the network, the larger the ratio.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from itertools import chain, cycle, islice
from pathlib import Path

import torch

from cluster.filesystem import open_location
from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.config import read_config, scored_tasks
from jobs.fit import fitted_rows
from jobs.rows import RowInputs, ScoredRow, scorer_of
from jobs.shard import shard_classes, shard_files, shard_folder
from pading.data.shards.rows import decode_row, read_rows
from pading.evaluate.extract import predict_samples
from pading.evaluate.predictions import read_predictions
from pading.evaluate.row_scores import Asked, RowScores
from pading.evaluate.scoring_pass import score_images
from pading.segmenter.weights import load_segmenter
from pading.splits.split import Task


def main() -> None:
    """Print processor seconds an image of both sides, then the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rescoring")
    parser.add_argument("--run-dir", type=Path, required=True, help="a finished run")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[1, 20, 60, 120], help="classifiers of the run, repeated"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of both sides in turn; the fastest of each counts")
    options = parser.parse_args(sys.argv[2:])
    torch.set_num_threads(1)
    run_dir = RunDir(options.run_dir)
    config, classes = read_config(run_dir), shard_classes(run_dir)
    folders = dict.fromkeys(run_dir.artefact("classifiers") / row["folder"] for row in fitted_rows(run_dir))
    inputs = RowInputs(classes=classes)
    fitted = [scorer_of(ScoredRow(folder=folder, inference=config.inference), inputs) for folder in folders]
    scorers = list(islice(cycle(fitted), max(options.rows)))
    segmenter = load_segmenter(run_dir.artefact("segmenter")).eval()
    filesystem, _ = open_location(shard_folder(config, run_dir, "val"))
    val = shard_files(config, run_dir, "val")

    def from_cache(tasks: tuple[Task, ...], num_rows: int) -> RowScores:
        images = (image for path in prediction_files(run_dir) for image in read_predictions(path))
        asked = Asked(tasks=tasks)
        return score_images(islice(images, options.images), scorers[:num_rows], classes, asked)[0]

    def by_network(tasks: tuple[Task, ...]) -> RowScores:
        rows = islice((row for path in val for row in read_rows(path, filesystem)), options.images)
        chunks = iter(lambda: list(islice(rows, 8)), [])
        samples = ([decode_row(row) for row in chunk] for chunk in chunks)
        images = chain.from_iterable(predict_samples(segmenter, some, config.data.input_px) for some in samples)
        return score_images(images, scorers[:1], classes, Asked(tasks=tasks))[0]

    asked = scored_tasks(config)
    choices = [*([(task,) for task in asked] if len(asked) > 1 else []), asked]
    print(f"{options.images} images, one core (processor time), ms a row and image; {len(fitted)} classifiers")
    print(f"{'tasks':24}{'network':>9}" + "".join(f"{f'{number} rows':>16}" for number in options.rows))
    for tasks in choices:
        peer, *ours = fastest(by_network, from_cache, tasks, options.rows, options.rounds)
        peer, ours = peer / options.images, [seconds / options.images for seconds in ours]
        shown = "".join(f"{1000 * seconds:8.2f} {peer / seconds:5.1f} x" for seconds in ours)
        print(f"{' '.join(tasks):24}{1000 * peer:9.2f}{shown}")
    both = by_network(asked), from_cache(asked, 1)
    same = all((both[0].generalised[task].counts == both[1].generalised[task].counts).all() for task in asked)
    print(f"  both count the same: {same}")
    result = {"benchmark": "rescoring", "unit": "processor seconds a row and image", "ours": ours[-1], "peer": peer}
    ratios = {str(number): peer / seconds for number, seconds in zip(options.rows, ours, strict=True)}
    print(json.dumps({**result, "ratio": peer / ours[-1], "ratios_by_rows": ratios, "same": same}))


def fastest(by_network, from_cache, tasks: tuple[Task, ...], rows: Sequence[int], rounds: int) -> list[float]:
    """Return the least seconds a row of the network's way, then of ours with each number of rows."""
    ways = [(lambda: by_network(tasks), 1), *((lambda n=number: from_cache(tasks, n), number) for number in rows)]
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for (work, number), found in zip(ways, seconds, strict=True):
            start = time.process_time()
            work()
            found.append((time.process_time() - start) / number)
    return [min(found) for found in seconds]


if __name__ == "__main__":
    main()
