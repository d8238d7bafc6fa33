"""The zero-shot losses as literal loops over rows, in float64: slow, obvious, and the judge of the fast ones."""

import math

import numpy as np


def kernel(first: np.ndarray, second: np.ndarray, bandwidths: tuple[float, ...]) -> float:
    squared = sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
    return sum(math.exp(-squared / (2 * bandwidth)) for bandwidth in bandwidths)


def mmd(generated: np.ndarray, real: np.ndarray, bandwidths: tuple[float, ...], estimator: str) -> float:
    def within(rows: np.ndarray) -> float:
        pairs = [
            kernel(rows[i], rows[j], bandwidths)
            for i in range(len(rows))
            for j in range(len(rows))
            if i != j or estimator == "biased"
        ]
        return sum(pairs) / len(pairs)

    between = [kernel(x, y, bandwidths) for x in generated for y in real]
    return within(generated) + within(real) - 2 * sum(between) / len(between)


def mmd_per_class(
    generated: np.ndarray,
    generated_labels: np.ndarray,
    real: np.ndarray,
    real_labels: np.ndarray,
    bandwidths: tuple[float, ...],
    estimator: str,
) -> float:
    values = [
        mmd(generated[generated_labels == label], real[real_labels == label], bandwidths, estimator)
        for label in sorted(set(real_labels.tolist()))
    ]
    return sum(values) / len(values)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second) / (math.sqrt(float(first @ first)) * math.sqrt(float(second @ second)))


def relations(rows: np.ndarray, others: np.ndarray, tau: float) -> list[list[float]]:
    result = []
    for row in rows:
        raised = [math.exp(cosine(row, other) / tau) for other in others]
        result.append([value / sum(raised) for value in raised])
    return result


def relationship_alignment(
    seen: np.ndarray, seen_text: np.ndarray, unseen: np.ndarray, unseen_text: np.ndarray, tau: float
) -> float:
    total = 0.0
    for rows, others, row_text, other_text in (
        (seen, seen, seen_text, seen_text),
        (unseen, unseen, unseen_text, unseen_text),
        (seen, unseen, seen_text, unseen_text),
    ):
        wanted, found = relations(row_text, other_text, tau), relations(rows, others, tau)
        for q_row, p_row in zip(wanted, found, strict=True):
            total += sum(q * math.log(q / p) for q, p in zip(q_row, p_row, strict=True)) / len(rows)
    return total


def gaussian_prior(rows: np.ndarray) -> float:
    total = 0.0
    for column in rows.T:
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        total += (mean**2 + variance - math.log(variance) - 1) / 2
    return total / rows.shape[1]


def attention(
    text: np.ndarray,
    primitives: np.ndarray,
    weights: dict[str, np.ndarray],
    heads: int,
    noise: np.ndarray,
    temperature: float,
) -> np.ndarray:
    """Eq. (1)-(2) of the primitive generator, one class, one head and one noise row at a time."""

    def linear(name: str, row: np.ndarray) -> np.ndarray:
        return weights[f"{name}.weight"] @ row + weights[f"{name}.bias"]

    width = noise.shape[2]
    size = width // heads
    result = np.zeros_like(noise)
    for k in range(len(text)):
        projected = linear("text", text[k])
        query = linear("query", projected)
        attended = np.zeros(width)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            raised = [
                math.exp(query[part] @ linear("key", p)[part] / math.sqrt(size) / temperature) for p in primitives
            ]
            for primitive, value in zip(primitives, raised, strict=True):
                attended[part] += value / sum(raised) * linear("value", primitive)[part]
        for n in range(noise.shape[1]):
            result[k, n] = linear("output", projected + attended + noise[k, n])
    return result
