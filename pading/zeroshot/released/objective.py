"""What the generator of PADing's code minimises besides its structure: a root of a discrepancy, and a classification.

Axes: N generated and M real rows, D feature width, K classes.
"""

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.mmd import BANDWIDTHS, mmd, safe_root


def root_discrepancy(
    generated: Float[Tensor, "N D"], real: Float[Tensor, "M D"], bandwidths: tuple[float, ...] = BANDWIDTHS
) -> Float[Tensor, ""]:
    """Return the square root of the sum over six kernels of the biased squared discrepancy (the code's form of eq. 3).

    The numbers are variances, exp(-|x - y|^2 / 2v), and are taken as they are. All rows of a batch are pooled. The bias
    is large: 92 rows of 30 classes score about 0.33 against 92 others of the same distribution.
    """
    return safe_root(mmd(generated, real, bandwidths, "biased"))


def auxiliary_classification(
    generated: Float[Tensor, "N D"], labels: Int64[Tensor, "N"], head: LinearClassifier, num_outputs: int
) -> Float[Tensor, ""]:
    """Return the cross-entropy of generated rows under the head that is being fitted; the head gets no gradient.

    Only the first `num_outputs` logits take part. The code's constant is 156, the number of seen classes of COCO-Stuff:
    there unseen classes and no-object are left out. A head with fewer outputs keeps all of them, no-object included.

    Raises:
        ValueError: if a label lies beyond the logits that take part.
    """
    if len(labels) and int(labels.max()) >= num_outputs:
        raise ValueError(
            f"a label is {int(labels.max())}, but only the first {num_outputs} outputs take part: raise "
            "auxiliary_outputs, or number seen classes first"
        )
    logits = F.linear(generated, head.weight.detach(), head.bias.detach())
    return F.cross_entropy(logits[:, :num_outputs], labels)
