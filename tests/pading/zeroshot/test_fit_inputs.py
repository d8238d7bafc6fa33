import torch

from pading.zeroshot.fit_inputs import FitInputs
from tests.references.zeroshot_world import world_of_combinations


def test_arrays_come_back_as_tensors_that_may_be_written_and_leave_the_arrays_alone():
    world = world_of_combinations()
    inputs = FitInputs.of(world.train, world.text.numpy(), world.old_head, world.classes)
    for array in (inputs.embeddings, inputs.labels, inputs.text, inputs.head_weight):
        array.flags.writeable = False  # as an object store's
    features, text, head = inputs.tensors()
    assert torch.equal(features.embeddings, world.train.embeddings)
    assert torch.equal(features.labels, world.train.labels)
    assert torch.equal(features.image_ids, world.train.image_ids)
    assert torch.equal(text, world.text)
    assert torch.equal(head.weight, world.old_head.weight)
    assert torch.equal(head.bias, world.old_head.bias)
    before = inputs.embeddings.copy()
    features.embeddings.zero_()
    assert (inputs.embeddings == before).all()
