import subprocess
import sys

import torch

from pading.segmenter.torchvision_on_cpu import make_torchvision_importable


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


def test_open_clip_imports_in_a_fresh_process():
    finished = run_python(
        "from pading.segmenter.torchvision_on_cpu import make_torchvision_importable as make\n"
        "make(); make()\n"
        "import open_clip, torchvision.transforms\n"
        "print(callable(open_clip.create_model))"
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == "True"


def test_the_operators_exist_after_the_call_and_a_second_call_changes_nothing():
    make_torchvision_importable()
    schema = str(torch.ops.torchvision.nms.default._schema)
    make_torchvision_importable()
    assert str(torch.ops.torchvision.nms.default._schema) == schema
    assert "Tensor dets, Tensor scores, float iou_threshold" in schema


def test_importing_the_module_declares_nothing():
    finished = run_python(
        "import torch, pading.segmenter.torchvision_on_cpu\nprint(hasattr(torch.ops.torchvision, 'nms'))"
    )
    assert finished.stdout.strip() == "False", finished.stderr
