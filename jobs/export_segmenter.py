"""The segmenter of a run -> a folder of ours or of transformers', with its class table and provenance beside it."""

import json
from pathlib import Path
from typing import Literal

from cluster.filesystem import file_sizes, location_inside, publish, scratch_folder
from cluster.storage import Manifest, RunDir
from jobs.config import read_config
from jobs.progress import say
from pading.segmenter.huggingface import save_huggingface
from pading.segmenter.pretrained import read_papers, write_papers
from pading.segmenter.segmenter import IMAGE_MEAN, IMAGE_STD
from pading.segmenter.weights import load_segmenter, save_segmenter

PREPROCESSOR_FILE = "preprocessor_config.json"


def export_segmenter(run_dir: RunDir, output: str, form: Literal["segmenter", "transformers"]) -> None:
    """Write the weights and all that is known about them to a location.

    Raises:
        FileNotFoundError: if the run has no finished segmenter.
        ValueError: if it is damaged, transformers has no such segmenter, or one of the files lies there already.
    """
    source = run_dir.artefact("segmenter")
    if Manifest.read(source) is None:
        raise FileNotFoundError(f"{source}: no finished segmenter; run the stage 'pretrain' first")
    classes, provenance = read_papers(source)
    input_px = read_config(run_dir).data.input_px
    with scratch_folder() as scratch:
        if form == "segmenter":
            save_segmenter(scratch, load_segmenter(source))
        else:
            segmenter = load_segmenter(source)
            save_huggingface(scratch, segmenter, classes.names)
            kind = "MaskFormer" if segmenter.config.mask_decoder == "maskformer" else "Mask2Former"
            _write_preprocessor(scratch / PREPROCESSOR_FILE, f"{kind}ImageProcessor", input_px)
        write_papers(scratch, classes, provenance)
        files = sorted(scratch.iterdir(), key=lambda path: path.name)
        if stale := sorted({path.name for path in files} & file_sizes(output).keys()):
            raise ValueError(f"{output} already holds {stale[0]}; give an empty --output or remove that segmenter")
        for path in files:
            publish(path, location_inside(output, path.name))
    say(f"segmenter of {classes.num_classes} classes ({', '.join(path.name for path in files)}) -> {output}")
    say(f"started from {provenance.line}")


def _write_preprocessor(path: Path, kind: str, input_px: int) -> None:
    """Say what transformers' image processor must do: images as large as in training, and normalised before."""
    described = {
        "image_processor_type": kind,
        "do_resize": True,
        "size": {"shortest_edge": input_px, "longest_edge": input_px},
        "size_divisor": 32,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [value / 255 for value in IMAGE_MEAN],
        "image_std": [value / 255 for value in IMAGE_STD],
        "ignore_index": 255,
        "do_reduce_labels": False,
    }
    path.write_text(json.dumps(described, indent=2) + "\n")
