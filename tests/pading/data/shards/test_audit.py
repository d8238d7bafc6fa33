import dataclasses
import itertools
import json

import numpy as np
import pytest

from pading.data.shards.audit import DIGEST_RANGE, LeakAudit, LeakTally, audit_row
from pading.data.shards.rows import encode_row
from tests.references.data_pixels import count_unseen

CAT, DOG, SKY = 0, 1, 2  # dog is unseen


@pytest.fixture
def row_of(make_sample, jpeg_of):
    def make(label_map, segments, image_id=1):
        sample = make_sample(label_map, segments, image_id=image_id)
        return encode_row(jpeg_of(sample.image), sample)

    return make


@pytest.fixture
def pieces(row_of, classes):
    rows = [
        row_of([[0, 1, 1], [2, 2, 2]], [(CAT, False), (SKY, False)], image_id=1),
        row_of([[1, 1, 1]], [(DOG, True)], image_id=2),
        row_of([[1, 2]], [(SKY, False), (DOG, False)], image_id=3),
    ]
    return [audit_row(row, classes) for row in rows]


def test_pixels_are_counted_by_class(pieces):
    """First image by hand: 1 void, 2 cat, 3 sky pixels."""
    audit = pieces[0]
    assert (audit.num_images, audit.num_pixels, audit.num_unlabelled_pixels) == (1, 6, 1)
    assert audit.class_pixels == (2, 0, 3)
    assert (audit.num_unseen_pixels, audit.num_unseen_segments, audit.leaking_image_ids) == (0, 0, ())


def test_an_unseen_crowd_is_a_leak(pieces):
    audit = pieces[1]
    assert (audit.num_unseen_pixels, audit.num_unseen_segments, audit.leaking_image_ids) == (3, 1, (2,))


def test_two_segments_of_a_class_add_up(row_of, classes):
    audit = audit_row(row_of([[1, 2, 2]], [(CAT, False), (CAT, False)]), classes)
    assert audit.class_pixels == (3, 0, 0)


def test_random_label_maps_equal_the_literal_count(row_of, classes):
    rng = np.random.default_rng(0)
    of_segment = rng.integers(0, 3, 300)
    label_map = rng.integers(0, 301, (20, 30), dtype=np.uint16)
    audit = audit_row(row_of(label_map, [(int(index), False) for index in of_segment]), classes)
    assert audit.num_unseen_pixels == count_unseen(label_map, of_segment, classes.is_seen)
    assert audit.num_unlabelled_pixels + sum(audit.class_pixels) == audit.num_pixels == 600


def test_an_unseen_segment_without_a_pixel_is_a_leak(row_of, classes):
    """A list entry is enough: the filter is about lists, the audit about both."""
    audit = audit_row(row_of([[1, 1]], [(CAT, False), (DOG, False)]), classes)
    assert (audit.num_unseen_pixels, audit.leaking_image_ids) == (0, (1,))
    with pytest.raises(ValueError, match="1 segments"):
        audit.check()


def test_audits_add_up_in_any_order(pieces, classes):
    sums = set()
    for ordered in itertools.permutations(pieces):
        sums.add(sum(ordered, LeakTally.empty(classes)))
        sums.add(ordered[0] + (ordered[1] + ordered[2]))
    assert len(sums) == 1
    total = sums.pop()
    assert (total.num_images, total.num_pixels, total.class_pixels) == (3, 11, (2, 4, 4))
    assert total.leaking_image_ids == (2, 3)
    assert 0 <= total.digest < DIGEST_RANGE


def test_the_empty_audit_changes_nothing(pieces, classes):
    assert pieces[0] + LeakTally.empty(classes) == pieces[0]


def test_the_digest_depends_on_id_labels_size_and_classes_but_not_on_the_encoding(row_of, classes):
    base = audit_row(row_of([[1, 1, 0, 0]], [(CAT, False)]), classes).digest
    assert audit_row(row_of([[1, 1, 0, 0]], [(CAT, False)]), classes).digest == base
    others = [
        row_of([[1, 1, 0, 0]], [(CAT, False)], image_id=2),
        row_of([[1, 0, 1, 0]], [(CAT, False)]),
        row_of([[1, 1], [0, 0]], [(CAT, False)]),
        row_of([[1, 1, 0, 0]], [(SKY, False)]),
    ]
    digests = {audit_row(other, classes).digest for other in others}
    assert len(digests | {base}) == 5


def test_clean_images_pass(pieces):
    pieces[0].check()


def test_leaks_are_refused_with_image_ids(pieces, classes):
    expected = r"2 of 3 training images hold unseen classes \(4 pixels, 2 segments\): image ids 2, 3; write"
    with pytest.raises(ValueError, match=expected):
        sum(pieces, LeakTally.empty(classes)).check()


def test_many_leaking_ids_are_cut_short(pieces, classes):
    many = dataclasses.replace(LeakTally.empty(classes), num_images=30, leaking_image_ids=tuple(range(30)))
    with pytest.raises(ValueError, match=r"image ids 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.;"):
        many.check()


def test_json_round_trip(pieces, classes):
    total = sum(pieces, LeakTally.empty(classes))
    assert LeakTally.from_plain(json.loads(json.dumps(total.to_plain()))) == total
    audit = LeakAudit(
        schema_version="2", split="toy", unseen=("dog",), files={"a.parquet": "0" * 64}, index="1" * 64, tally=total
    )
    assert LeakAudit.from_json(audit.to_json(), "a.json") == audit
    assert json.loads(audit.to_json())["tally"]["num_unseen_pixels"] == 4


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"files": 1, "tally": {}}', '{"files": {}, "tally": {"x": 1}}']
)
def test_a_file_that_is_no_audit_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"a\.json: is not a leak audit .*; write the shards again"):
        LeakAudit.from_json(text, "a.json")


@pytest.mark.parametrize("class_index", [3, -1])
def test_a_class_outside_of_the_table_is_refused(row_of, classes, class_index):
    with pytest.raises(ValueError, match=rf"image id 1\): class {class_index} is not in class table 'toy'"):
        audit_row(row_of([[1]], [(class_index, False)]), classes)


def test_a_damaged_label_map_is_refused(row_of, classes):
    row = row_of([[1]], [(CAT, False)])
    with pytest.raises(ValueError, match="label map is truncated or corrupt"):
        audit_row(row | {"label_maps": [row["label_maps"][0][:-2]]}, classes)


def test_an_image_without_segments_is_void(row_of, classes):
    audit = audit_row(row_of([[0, 0]], []), classes)
    assert (audit.num_unlabelled_pixels, audit.class_pixels) == (2, (0, 0, 0))


def test_overlapping_segments_are_counted_in_every_layer(row_of, classes):
    """Cat on the left two, sky on the right two of three pixels: the middle one counts for both, none is unlabelled."""
    tally = audit_row(row_of([[[1, 1, 0]], [[0, 2, 2]]], [(CAT, False), (SKY, False)]), classes)
    assert (tally.num_pixels, tally.num_unlabelled_pixels) == (3, 0)
    assert (tally.class_segments, tally.class_pixels) == ((1, 0, 1), (2, 0, 2))


def test_an_unseen_segment_in_a_deeper_layer_is_a_leak(row_of, classes):
    tally = audit_row(row_of([[[1, 1, 0]], [[0, 2, 0]]], [(CAT, False), (DOG, False)]), classes)
    assert (tally.num_unseen_pixels, tally.num_unseen_segments, tally.num_unlabelled_pixels) == (1, 1, 1)
    with pytest.raises(ValueError, match="1 of 1 training images hold unseen classes"):
        tally.check()


def test_hidden_pixels_are_said_as_context(row_of, classes):
    """2 of 4 and 0 of 2 pixels hidden: 33.33 % of pixels, in half of the images."""
    rows = [row_of([[0, 0, 0, 1]], [(CAT, False)]) | {"hidden_px": 2}, row_of([[1, 1]], [(CAT, False)], image_id=2)]
    tally = audit_row(rows[0], classes) + audit_row(rows[1], classes)
    tally.check()
    assert tally.context_line() == (
        "2 of 6 pixels (33.33%) of unseen classes remain in the photos as unlabelled context, in 1 of 2 images (50.0%)"
    )


@pytest.mark.parametrize("hidden_px", [-1, 4])
def test_more_hidden_than_unlabelled_pixels_are_refused(row_of, classes, hidden_px):
    with pytest.raises(ValueError, match=f"says that {hidden_px} pixels were hidden, but 3 are unlabelled"):
        audit_row(row_of([[0, 0, 0, 1]], [(CAT, False)]) | {"hidden_px": hidden_px}, classes)
