"""The metrics of new classifiers from cached predictions, beside running the network again for each of them.

Both sides count the same images by the same code, for all tasks. One reads what the network said from the cache, for
all rows at once; the other decodes the photos of the shards and runs the segmenter for every row. On the demo, whose
network is tiny, counting is most of the work on both sides; the larger the network, the larger the ratio.
"""

import argparse
import json
import sys
import time
from itertools import islice
from pathlib import Path

import torch

from cluster.filesystem import open_location
from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.config import read_config, scored_tasks
from jobs.fit import fitted_rows
from jobs.shard import shard_classes, shard_files, shard_folder
from pading.data.shards.rows import decode_row, read_rows
from pading.evaluate.extract import predict_samples
from pading.evaluate.predictions import read_predictions
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.scorer import head_scorer
from pading.segmenter.weights import load_segmenter
from pading.zeroshot.classifier import load_classifier


def main() -> None:
    """Print processor seconds an image of both sides, then the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rescoring")
    parser.add_argument("--run-dir", type=Path, required=True, help="a finished run")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rows", type=int, default=0, help="how many fitted classifiers; 0: all of the run")
    parser.add_argument("--rounds", type=int, default=3, help="of both sides in turn; the fastest of each counts")
    options = parser.parse_args(sys.argv[2:])
    torch.set_num_threads(1)
    run_dir = RunDir(options.run_dir)
    config, classes = read_config(run_dir), shard_classes(run_dir)
    tasks = scored_tasks(config)
    folders = [run_dir.artefact("classifiers") / row["folder"] for row in fitted_rows(run_dir)]
    folders = folders[: options.rows or len(folders)]
    scorers = [head_scorer(folder.name, load_classifier(folder), config.inference) for folder in folders]
    segmenter = load_segmenter(run_dir.artefact("segmenter")).eval()
    filesystem, _ = open_location(shard_folder(config, run_dir, "val"))
    val = shard_files(config, run_dir, "val")

    def from_cache() -> ImageTally:
        images = (image for path in prediction_files(run_dir) for image in read_predictions(path))
        chosen = islice(images, options.images)
        tallies = [evaluate_image(image, scorers, classes, tasks) for image in chosen]
        return ImageTally.total([rows[-1] for rows in tallies])

    def by_network() -> ImageTally:
        rows = islice((row for path in val for row in read_rows(path, filesystem)), options.images)
        tallies = []
        for chunk in iter(lambda: list(islice(rows, 8)), []):
            images = predict_samples(segmenter, [decode_row(row) for row in chunk], config.data.input_px)
            tallies += [evaluate_image(image, scorers[-1:], classes, tasks)[0] for image in images]
        return ImageTally.total(tallies)

    seconds: dict[str, list[float]] = {"from the cache": [], "by the network": []}
    found = {}
    for _ in range(options.rounds):
        for name, function, rows in (("from the cache", from_cache, len(scorers)), ("by the network", by_network, 1)):
            start = time.process_time()
            found[name] = function()
            seconds[name].append((time.process_time() - start) / options.images / rows)
    cached, network = (metrics(found[name], classes) for name in seconds)
    key = f"{'pq' if 'panoptic' in tasks else 'miou' if 'semantic' in tasks else 'ap50'}/seen"
    ours, peer = (min(values) for values in seconds.values())
    print(f"{len(scorers)} rows on {options.images} images, one core (processor time); {folders[-1].name} is shown")
    print(f"  from the cache: {1000 * ours:8.1f} ms a row and image, {key} {cached[key]:.2f}")
    print(f"  by the network: {1000 * peer:8.1f} ms a row and image, {key} {network[key]:.2f}")
    result = {"benchmark": "rescoring", "unit": "processor seconds a row and image", "ours": ours, "peer": peer}
    print(json.dumps({**result, "ratio": peer / ours}))


if __name__ == "__main__":
    main()
