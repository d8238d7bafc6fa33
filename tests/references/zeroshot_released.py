"""PADing's code as literal loops over rows, in float64: slow, obvious, and the judge of the fast functions.

A mask is what an entry is multiplied by: zero, or one over the share that is kept.
"""

import math

import numpy as np

from tests.references.zeroshot_losses import cosine, mmd

Weights = dict[str, np.ndarray]


def linear(weights: Weights, name: str, row: np.ndarray) -> np.ndarray:
    result = [
        sum(w * x for w, x in zip(line, row, strict=True)) + bias
        for line, bias in zip(weights[f"{name}.weight"], weights[f"{name}.bias"], strict=True)
    ]
    return np.array(result)


def layer_norm(weights: Weights, name: str, row: np.ndarray) -> np.ndarray:
    mean = sum(row) / len(row)
    variance = sum((x - mean) ** 2 for x in row) / len(row)
    return weights[f"{name}.weight"] * (row - mean) / math.sqrt(variance + 1e-5) + weights[f"{name}.bias"]


def decoder_layer(
    weights: Weights, row: np.ndarray, primitives: np.ndarray, heads: int, noise: np.ndarray, masks: dict
) -> np.ndarray:
    """One layer on one row; `masks` has own_head, own, weight (heads, P), cross, hidden and last."""
    size = len(row) // heads
    value = linear(weights, "self_value", row)
    for head in range(heads):
        value[head * size : (head + 1) * size] *= masks["own_head"][head]  # the one attention weight of a lone token
    row = layer_norm(weights, "norms.0", row + masks["own"] * linear(weights, "self_output", value))
    query = linear(weights, "query", row)
    attended = np.zeros(len(row))
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        raised = [math.exp(query[part] @ linear(weights, "key", p)[part] / math.sqrt(size)) for p in primitives]
        for index, primitive in enumerate(primitives):
            share = raised[index] / sum(raised) * masks["weight"][head][index]
            attended[part] += share * linear(weights, "value", primitive)[part]
    row = layer_norm(weights, "norms.1", row + masks["cross"] * linear(weights, "output", attended) + noise)
    hidden = masks["hidden"] * np.maximum(linear(weights, "expand", row), 0)
    return layer_norm(weights, "norms.2", row + masks["last"] * linear(weights, "contract", hidden))


def generate(
    weights: Weights, text: np.ndarray, num_layers: int, heads: int, noise: list[np.ndarray], masks: list[dict]
) -> np.ndarray:
    """One sample of the whole generator: W_a a, the layers, a last layer normalisation."""
    row = linear(weights, "text", text)
    for index in range(num_layers):
        start = f"layers.{index}."
        own = {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
        row = decoder_layer(own, row, weights["primitives"], heads, noise[index], masks[index])
    return layer_norm(weights, "norm", row)


def leaky(row: np.ndarray) -> np.ndarray:
    return np.where(row > 0, row, 0.2 * row)


def encode(weights: Weights, row: np.ndarray) -> np.ndarray:
    return leaky(linear(weights, "second", linear(weights, "first", row)))


def decode(weights: Weights, related: np.ndarray, unrelated: np.ndarray) -> np.ndarray:
    return leaky(linear(weights, "second", leaky(linear(weights, "first", np.concatenate([related, unrelated])))))


def relation(weights: Weights, related: np.ndarray, projected: np.ndarray) -> float:
    hidden = np.maximum(linear(weights, "pair", np.concatenate([related, projected])), 0)
    return 1 / (1 + math.exp(-linear(weights, "score", hidden)[0]))


def softmax(logits: np.ndarray) -> list[float]:
    raised = [math.exp(value) for value in logits]
    return [value / sum(raised) for value in raised]


def element_divergence(found: np.ndarray, wanted: np.ndarray) -> float:
    total = 0.0
    for found_row, wanted_row in zip(found, wanted, strict=True):
        p, q = softmax(found_row / 0.1), softmax(wanted_row / 0.1)
        total += sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    return total / (found.shape[0] * found.shape[1])


def cosines(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.array([[cosine(row, other) for other in others] for row in rows])


def alignment(seen: np.ndarray, seen_text: np.ndarray, unseen: np.ndarray, unseen_text: np.ndarray) -> float:
    blocks = [
        element_divergence(cosines(seen, seen), cosines(seen_text, seen_text)),
        element_divergence(cosines(unseen, unseen), cosines(unseen_text, unseen_text)),
        element_divergence(cosines(seen, unseen), cosines(seen_text, unseen_text)),
    ]
    return sum(blocks) / 3


def cross_entropy(logits: np.ndarray, labels: list[int], weights: list[float]) -> float:
    """Weighted, and divided by the sum of the weights of the rows."""
    losses = [-math.log(softmax(row)[label]) for row, label in zip(logits, labels, strict=True)]
    shares = [weights[label] for label in labels]
    return sum(share * loss for share, loss in zip(shares, losses, strict=True)) / sum(shares)


def structure(
    weights: Weights,
    seen: np.ndarray,
    seen_labels: list[int],
    unseen: np.ndarray,
    unseen_classes: list[int],
    projected: np.ndarray,
    candidates: list[int],
    patterns: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    """The four terms before w1, w2, w3, without dropout; `candidates` are the classes that seen rows are told from."""

    def of(name: str) -> Weights:
        return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}

    related = [np.array([encode(of("related"), row) for row in rows]) for rows in (seen, unseen)]
    unrelated = [np.array([encode(of("unrelated"), row) for row in rows]) for rows in (seen, unseen)]
    scores_seen = np.array([[relation(of("relation"), r, projected[c]) for c in candidates] for r in related[0]])
    scores_unseen = np.array([[relation(of("relation"), r, projected[c]) for c in unseen_classes] for r in related[1]])
    positions = [candidates.index(label) for label in seen_labels]
    rebuilt = [
        sum(
            float(np.abs(decode(of("decoder"), r, u) - x).mean()) / len(rows)
            for r, u, x in zip(related[i], unrelated[i], rows, strict=True)
        )
        for i, rows in enumerate((seen, unseen))
    ]
    patterned = [element_divergence(unrelated[i], patterns[i]) for i in (0, 1)]
    classified = [
        cross_entropy(scores_seen, positions, [1.0] * len(candidates)),
        cross_entropy(scores_unseen, list(range(len(unseen))), [1.0] * len(unseen_classes)),
    ]
    return {
        "alignment": alignment(related[0], projected[seen_labels], related[1], projected[unseen_classes]),
        "unrelated": 0.5 * sum(patterned) / 2,
        "relation": 0.2 * sum(classified) / 2,
        "reconstruction": sum(rebuilt) / 2,
    }


def root_discrepancy(generated: np.ndarray, real: np.ndarray) -> float:
    return math.sqrt(mmd(generated, real, (2.0, 5.0, 10.0, 20.0, 40.0, 80.0), "biased"))


def printed_discrepancy(generated: np.ndarray, real: np.ndarray, deviations: tuple[float, ...]) -> float:
    """Eq. (3) with sums over all pairs, each divided by their number, and divisor 2 sigma^2."""

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return sum(math.exp(-float(((x - y) ** 2).sum()) / (2 * sigma**2)) for sigma in deviations)

    within = sum(k(x, y) for x in real for y in real) / len(real) ** 2
    within += sum(k(x, y) for x in generated for y in generated) / len(generated) ** 2
    return within - 2 * sum(k(x, y) for x in real for y in generated) / (len(real) * len(generated))
