from pathlib import Path

import numpy as np
import pytest

from pading.classes import ClassTable
from pading.splits.coco_classes import coco_stuff_156_15
from pading.text.embeddings import TextEmbeddings
from pading.text.files import load_for_classes
from pading.text.neighbours import Neighbour, indistinguishable, nearest_neighbours, neighbour_table

TABLE = ClassTable(
    name="toy",
    names=("cow", "sheep", "car", "bus", "truck"),
    coco_ids=(1, 2, 3, 4, 5),
    is_thing=(True,) * 5,
    is_seen=(False, True, True, True, True),
)


def embeddings_of(*rows: tuple[float, float]) -> TextEmbeddings:
    return TextEmbeddings(names=TABLE.names, templates=(), model="", matrix=np.array(rows, np.float32))


TOY = embeddings_of((1, 0), (0.8, 0.6), (0, 1), (0.6, 0.8), (-1, 0))


def test_seen_classes_are_listed_from_the_nearest_on():
    near = [Neighbour(name="sheep", cosine=0.8), Neighbour(name="bus", cosine=0.6), Neighbour(name="car", cosine=0.0)]
    assert nearest_neighbours(TOY, TABLE) == {"cow": tuple(near)}
    assert nearest_neighbours(TOY, TABLE, k=1) == {"cow": tuple(near[:1])}
    assert [neighbour.name for neighbour in nearest_neighbours(TOY, TABLE, k=9)["cow"]] == [
        "sheep",
        "bus",
        "car",
        "truck",
    ]


def test_the_table_has_one_line_per_unseen_class():
    neighbours = {"cow": (Neighbour(name="sheep", cosine=0.8),), "giraffe": (Neighbour(name="zebra", cosine=0.75),)}
    assert neighbour_table(neighbours) == ["cow      sheep 0.80", "giraffe  zebra 0.75"]
    assert neighbour_table({}) == []


def test_no_neighbours_and_foreign_embeddings_are_refused():
    with pytest.raises(ValueError, match="k is 0"):
        nearest_neighbours(TOY, TABLE, k=0)
    other = TextEmbeddings(names=("cow",), templates=(), model="", matrix=np.ones((1, 1), np.float32))
    with pytest.raises(ValueError, match="expected the 5 names of class table 'toy', found 1"):
        nearest_neighbours(other, TABLE)


def test_classes_with_the_same_vector_are_named_in_pairs():
    assert indistinguishable(TOY) == ()
    same = embeddings_of((1, 0), (0, 1), (1, 0), (0.6, 0.8), (1, 0))
    assert indistinguishable(same) == (("cow", "car"), ("cow", "truck"), ("car", "truck"))


def test_word_vectors_of_coco_stuff_put_animals_beside_animals(real_data: Path):
    folder, table = real_data / "word_vectors", coco_stuff_156_15()
    names = folder / "names_cocostuff182.json"
    embeddings = load_for_classes(folder / "spnet_cocostuff182_word2vec_300.npy", table, names)
    nearest = {unseen: near[0].name for unseen, near in nearest_neighbours(embeddings, table).items()}
    assert len(nearest) == 15
    assert nearest["giraffe"] in {"elephant", "zebra"}
    assert nearest["cow"] == "sheep"
    assert indistinguishable(embeddings) == ()
