import torch
from torch import nn

from pading.segmenter.frozen_norm import FoldedConvolution, FrozenBatchNorm, freeze_norms


class Block(nn.Module):
    """Names as timm gives them: conv1 before bn1, a Sequential, and a norm that no convolution precedes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.downsample = nn.Sequential(nn.Conv2d(4, 6, 1, bias=False), nn.BatchNorm2d(6))
        self.alone = nn.BatchNorm2d(6)

    def forward(self, x):
        return self.alone(self.downsample(self.bn1(self.conv1(x)).relu()))


def block():
    torch.manual_seed(0)
    made = Block().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return made


def test_frozen_norms_give_the_same_output_and_gradient_in_training_and_evaluation():
    theirs, frozen = block(), block()
    freeze_norms(frozen)
    images = torch.randn(2, 3, 8, 8)
    for mode in (True, False):
        theirs.eval()
        frozen.train(mode)
        theirs.zero_grad()
        frozen.zero_grad()
        torch.testing.assert_close(frozen(images), theirs(images))
        frozen(images).square().sum().backward()
        theirs(images).square().sum().backward()
        torch.testing.assert_close(frozen.conv1.weight.grad, theirs.conv1.weight.grad)


def test_only_weights_of_convolutions_learn_and_names_stay():
    frozen = block()
    names = {name for name in frozen.state_dict() if not name.endswith("num_batches_tracked")}
    freeze_norms(frozen)
    assert frozen.state_dict().keys() == names
    assert {name for name, _ in frozen.named_parameters()} == {"conv1.weight", "downsample.0.weight"}


def test_norms_are_folded_where_a_convolution_precedes_them():
    frozen = block()
    freeze_norms(frozen)
    assert isinstance(frozen.conv1, FoldedConvolution)
    assert isinstance(frozen.downsample[0], FoldedConvolution)
    assert [m.is_folded for m in frozen.modules() if isinstance(m, FrozenBatchNorm)] == [True, True, False]


def test_loaded_statistics_reach_the_folded_convolution():
    frozen, other = block(), block()
    for module in (frozen, other):
        freeze_norms(module)
    with torch.no_grad():
        other.bn1.running_mean.add_(1.0)
    frozen.load_state_dict(other.state_dict())
    images = torch.randn(1, 3, 8, 8)
    assert torch.equal(frozen(images), other(images))
