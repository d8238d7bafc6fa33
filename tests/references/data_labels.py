"""Which label each pixel of a view gets, one pixel at a time."""

IGNORED = 255


def compacted(layers, segments, max_segments, has_background):
    """Layers of labels (0 = none, i + 1 = segments[i]) to 8-bit layers and the classes of labels 1, 2, ..."""
    height, width = len(layers[0]), len(layers[0][0])
    places = [(layer, y, x) for layer in range(len(layers)) for y in range(height) for x in range(width)]
    areas = [sum(layers[n][y][x] == i + 1 for n, y, x in places) for i in range(len(segments))]
    by_size = sorted(range(len(segments)), key=lambda i: (-areas[i], i))
    kept = sorted([i for i in by_size if areas[i] and not segments[i]["is_crowd"]][:max_segments])
    result = [[[0] * width for _ in range(height)] for _ in layers]
    for y in range(height):
        for x in range(width):
            found = [layers[n][y][x] for n in range(len(layers))]
            for n, label in enumerate(found):
                if label and label - 1 in kept:
                    result[n][y][x] = kept.index(label - 1) + 1
            is_owned = any(result[n][y][x] for n in range(len(layers)))
            if not is_owned and (any(found) or not has_background):
                result[0][y][x] = IGNORED
    shown = [n for n in range(len(layers)) if n == 0 or any(0 < label < IGNORED for row in result[n] for label in row)]
    return [result[n] for n in shown], [segments[i]["class_index"] for i in kept]
