"""Maximum mean discrepancy: how far apart two samples are, measured by Gaussian kernels of several widths.

Axes: N generated and M real rows, D width; leading axes are groups, each compared on its own.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pading.zeroshot.kernels import KernelDiscrepancy

Estimator = Literal["biased", "unbiased"]
BandwidthScale = Literal["absolute", "width", "median"]

# The variances of the kernels, for features of width 256 (PADing's code, after ZS3).
BANDWIDTHS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
# Squared distance of two unrelated layer-normalised vectors of that width, 2 * 256.
_REFERENCE_SQUARED_DISTANCE = 512.0


def mmd(
    generated: Float[Tensor, "*groups N D"],
    real: Float[Tensor, "*groups M D"],
    bandwidths: tuple[float, ...] = BANDWIDTHS,
    estimator: Estimator = "biased",
) -> Float[Tensor, "*groups"]:
    """Return the squared maximum mean discrepancy of each group.

    PADing eq. (3): mean k(x, x') + mean k(y, y') - 2 mean k(x, y) with k(x, y) = sum_v exp(-|x - y|^2 / 2v).
    The biased estimator counts pairs of a row with itself and is never negative; the unbiased one leaves them out and
    is zero on average when both samples follow one distribution.

    Raises:
        ValueError: if a sample is empty (or has a single row, unbiased), if a bandwidth is not positive, or if groups
            or widths differ.
    """
    if generated.shape[:-2] != real.shape[:-2] or generated.shape[-1] != real.shape[-1]:
        raise ValueError(
            f"cannot compare samples of shapes {tuple(generated.shape)} and {tuple(real.shape)}: only rows may differ"
        )
    if not bandwidths or min(bandwidths) <= 0:
        raise ValueError(f"bandwidths are {bandwidths}: pass at least one, all positive")
    weights = _pair_weights(generated, real, estimator)
    discrepancy: Tensor = KernelDiscrepancy.apply(generated, real, weights, bandwidths)  # type: ignore[no-untyped-call]
    return discrepancy


def mmd_per_class(
    generated: Float[Tensor, "K N D"],
    real: Float[Tensor, "K M D"],
    bandwidths: tuple[float, ...] = BANDWIDTHS,
    estimator: Estimator = "unbiased",
) -> Float[Tensor, ""]:
    """Return the mean over classes of the squared discrepancy between the rows of that class.

    The pooled discrepancy cannot tell which row belongs to which class (it is unchanged when the labels of a batch are
    permuted); this one can. See `mmd` for equation and errors.
    """
    return mmd(generated, real, bandwidths, estimator).mean()


def safe_root(squared: Float[Tensor, "*any"], floor: float = 1e-8) -> Float[Tensor, "*any"]:
    """Return sqrt(max(squared, 0) + floor) - sqrt(floor): zero at zero, with a finite gradient everywhere."""
    return torch.sqrt(squared.clamp_min(0) + floor) - math.sqrt(floor)


def scaled_bandwidths(
    real: Float[Tensor, "N D"], bandwidths: tuple[float, ...], scale: BandwidthScale
) -> tuple[float, ...]:
    """Return bandwidths that stand to these features as `bandwidths` stand to layer-normalised ones of width 256.

    "absolute" leaves the numbers as they are, as in print and in PADing's code; "width" multiplies by D / 256; "median"
    by (median squared distance) / 512, which also follows the features' scale.

    Raises:
        ValueError: if the features are fewer than two, or identical, under "median".
    """
    if scale == "absolute":
        return bandwidths
    if scale == "width":
        typical = 2.0 * real.shape[1]
    else:
        sample = real[:: max(1, len(real) // 1024)]
        pairs = torch.pdist(sample)
        typical = float(pairs.square().median()) if len(pairs) else 0.0
        if typical == 0:
            raise ValueError(f"the median distance of {len(real)} features is zero: use the bandwidth scale 'width'")
    return tuple(bandwidth * typical / _REFERENCE_SQUARED_DISTANCE for bandwidth in bandwidths)


def _pair_weights(
    generated: Float[Tensor, "*groups N D"], real: Float[Tensor, "*groups M D"], estimator: Estimator
) -> Float[Tensor, "R R"]:
    """Return the weight of each pair of rows in the discrepancy, the generated rows first."""
    first, second = generated.shape[-2], real.shape[-2]
    smallest = 1 if estimator == "biased" else 2
    if min(first, second) < smallest:
        raise ValueError(
            f"{estimator} discrepancy of {first} generated and {second} real rows: "
            f"each sample needs at least {smallest}"
        )
    itself = smallest - 1  # how many partners a row loses
    weights = generated.new_full((first + second, first + second), -1 / (first * second))
    weights[:first, :first] = 1 / (first * (first - itself))
    weights[first:, first:] = 1 / (second * (second - itself))
    return weights.fill_diagonal_(0) if itself else weights
