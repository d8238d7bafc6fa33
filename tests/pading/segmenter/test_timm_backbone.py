"""Backbones of timm: levels, frozen norms, any size, and weights from files."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pading.segmenter.swin_block import PaddedSwinBlock, cut, join
from pading.segmenter.timm_backbone import TimmBackbone, load_backbone_weights
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable

SWIN = "swin_tiny_patch4_window7_224"


def backbone(name, *, frozen_norms=True) -> TimmBackbone:
    torch.manual_seed(0)
    return TimmBackbone(name, frozen_norms=frozen_norms, drop_path_rate=0.0)


@pytest.fixture(scope="module")
def timm():
    make_torchvision_importable()
    import timm

    return timm


@pytest.fixture(scope="module")
def swin() -> TimmBackbone:
    return backbone(SWIN)


@pytest.mark.parametrize(
    ("name", "channels"), [("resnet18", (64, 128, 256, 512)), ("convnext_atto", (40, 80, 160, 320))]
)
def test_levels_have_strides_four_to_thirty_two(name, channels):
    made = backbone(name)
    levels = made(torch.randn(2, 3, 64, 96))
    assert made.channels == channels
    assert [(level.stride, tuple(level.features.shape)) for level in levels] == [
        (stride, (2, width, 64 // stride, 96 // stride)) for stride, width in zip((4, 8, 16, 32), channels, strict=True)
    ]


@pytest.mark.parametrize("side", [(32, 64), (224, 224), (96, 160)])
def test_a_swin_takes_any_multiple_of_thirty_two(swin, side):
    with torch.no_grad():
        levels = swin(torch.randn(1, 3, *side))
    assert [tuple(level.features.shape[2:]) for level in levels] == [
        (side[0] // s, side[1] // s) for s in (4, 8, 16, 32)
    ]


def test_a_swin_equals_that_of_timm_where_nothing_is_padded(swin, timm):
    theirs = timm.create_model(SWIN, num_classes=0, always_partition=True).eval()
    theirs.load_state_dict(
        {name: swin.network.state_dict().get(name, tensor) for name, tensor in theirs.state_dict().items()}
    )
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        wanted = theirs.forward_intermediates(images, intermediates_only=True)
        for level, maps, norm in zip(swin.eval()(images), wanted, swin.norms, strict=True):
            torch.testing.assert_close(level.features, norm(maps), rtol=1e-4, atol=1e-5)


def test_cells_across_the_seam_of_a_shifted_map_do_not_see_each_other(swin):
    block = swin.network.layers[0].blocks[1]
    assert isinstance(block, PaddedSwinBlock)
    assert (block.window, block.shift) == (7, 3)
    x = torch.randn(1, 14, 14, 96)
    changed = x.clone()
    changed[:, 0] += torch.randn(96)  # after the shift the first row lies in the window of the last rows
    with torch.no_grad():
        moved = (block.attend(changed) - block.attend(x)).abs().sum(dim=3)[0] > 1e-6
    assert moved[:3].all()
    assert not moved[3:].any()


def test_cut_windows_join_to_the_map():
    maps = torch.arange(2 * 4 * 6 * 3.0).view(2, 4, 6, 3)
    windows = cut(maps, 2)
    assert windows.shape == (2 * 6, 4, 3)
    assert torch.equal(windows[1], maps[0, :2, 2:4].flatten(0, 1))
    assert torch.equal(join(windows, 2, 4, 6), maps)


def test_frozen_norms_do_not_move_and_do_not_learn():
    made = backbone("resnet18").train()
    before = {name: buffer.clone() for name, buffer in made.named_buffers()}
    sum(level.features.sum() for level in made(torch.randn(2, 3, 64, 64))).backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in made.named_buffers())
    assert not any("bn" in name or "downsample.1" in name for name, _ in made.named_parameters())
    learning = backbone("resnet18", frozen_norms=False)
    assert any(isinstance(module, nn.BatchNorm2d) for module in learning.modules())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_of_timm_are_read_from_files(timm, tmp_path, suffix):
    theirs = timm.create_model("resnet18").eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
    path = tmp_path / f"weights{suffix}"
    save_file(theirs.state_dict(), path) if suffix == ".safetensors" else torch.save(theirs.state_dict(), path)
    made = backbone("resnet18")
    load_backbone_weights(made, path)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = theirs.forward_intermediates(images, intermediates_only=True)[1:]
        for level, maps in zip(made(images), wanted, strict=True):
            torch.testing.assert_close(level.features, maps, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conv1.weight"), "1 tensors of the backbone are missing, e.g. conv1.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 tensors do not belong to the backbone, e.g. extra"),
        (lambda s: s.update({"conv1.weight": torch.zeros(1)}), r"conv1.weight has shape \(1,\), the backbone \(64, 3"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message):
    made = backbone("resnet18")
    state = dict(made.network.state_dict())
    change(state)
    with pytest.raises(ValueError, match=message):
        load_backbone_weights(made, state)


def test_files_that_hold_no_weights_are_named(tmp_path):
    made = backbone("resnet18")
    with pytest.raises(ValueError, match=r"absent.pt is missing"):
        load_backbone_weights(made, tmp_path / "absent.pt")
    for name in ("broken.pt", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"nothing of the sort")
        with pytest.raises(ValueError, match=rf"{name} is not a readable file of weights"):
            load_backbone_weights(made, tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list.pt is not a dictionary of tensors"):
        load_backbone_weights(made, tmp_path / "list.pt")
    torch.save({"model": nn.Linear(1, 1)}, tmp_path / "objects.pt")
    with pytest.raises(ValueError, match=r"objects.pt is not a readable file"):
        load_backbone_weights(made, tmp_path / "objects.pt")


@pytest.mark.parametrize(
    ("name", "message"), [("resnet5000", "no backbone 'resnet5000'; near it: "), ("vit_tiny_patch16_224", "strides")]
)
def test_networks_that_are_no_backbone_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        backbone(name)
