"""ZegFormer's equations one query and class at a time, in Python's float64; oracle for pading.zeroshot.zegformer."""

import math


def softmax(values):
    largest = max(values)
    powers = [math.exp(value - largest) for value in values]
    return [power / sum(powers) for power in powers]


def cosine(first, second):
    product = sum(a * b for a, b in zip(first, second, strict=True))
    return product / math.sqrt(sum(a * a for a in first)) / math.sqrt(sum(b * b for b in second))


def region_probabilities(regions, text, logit_scale, class_logits, objectness):
    rows = []
    for region, logits in zip(regions, class_logits, strict=True):
        if any(math.isnan(value) for value in region):
            rows.append([0.0] * len(text) + [1.0])
            continue
        similarities = [logit_scale * cosine(row, region) for row in text]
        if objectness == "borrowed":
            rows.append(softmax([*similarities, logits[-1]]))
        else:
            no_object = softmax(logits)[-1]
            rows.append([(1 - no_object) * value for value in softmax(similarities)] + [no_object])
    return rows


def geometric_means(of_queries, of_regions, is_seen, weight, fused_classes):
    rows = []
    for query, region in zip(of_queries, of_regions, strict=True):
        seen = [region[c] for c in range(len(is_seen)) if is_seen[c]]
        average = sum(seen) / len(seen)
        row = []
        for c in range(len(is_seen)):
            if is_seen[c] and fused_classes == "unseen":
                row.append(query[c] ** weight * average ** (1 - weight))
            else:
                row.append(query[c] ** (1 - weight) * region[c] ** weight)
        rows.append(row)
    return rows


def fuse(of_queries, of_regions, is_seen, weight, fused_classes):
    rows = []
    means = geometric_means(of_queries, of_regions, is_seen, weight, fused_classes)
    for query, region, row in zip(of_queries, of_regions, means, strict=True):
        if not any(region[:-1]):  # was not encoded
            rows.append(list(query))
            continue
        sharpened = [value ** (1 / max(weight, 1 - weight)) for value in row]
        total = sum(sharpened)
        rows.append([(1 - query[-1]) * value / total if total else 0.0 for value in sharpened] + [query[-1]])
    return rows
