"""t-SNE: rows on a plane so that near rows stay near. The only place that knows scikit-learn."""

import warnings

import numpy as np
from jaxtyping import Float

PERPLEXITY = 30.0


def embed_on_plane(rows: Float[np.ndarray, "N D"], seed: int) -> Float[np.ndarray, "N 2"]:
    """Return a place for each row; the same rows and seed give the same places.

    Raises:
        ValueError: if there are fewer than four rows.
    """
    if len(rows) < 4:
        raise ValueError(f"{len(rows)} features cannot be laid out on a plane; cache more images")
    with warnings.catch_warnings():  # scikit-learn's import makes others complain about their own future
        warnings.simplefilter("ignore")
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    with threadpool_limits(1):  # sums in one order on any machine, and no thread that spins while others work
        places: np.ndarray = TSNE(perplexity=perplexity, init="pca", random_state=seed % 2**32).fit_transform(rows)
    return places
