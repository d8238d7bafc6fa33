import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from pading.data.views.memory import BatchMemory


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_once_nobody_looks_at_it_and_is_zero_again():
    memory = BatchMemory()
    first = memory.zeros((4, 5))
    first[:] = 7
    place = address(first)
    del first
    second = memory.zeros((5, 4))
    assert address(second) == place
    assert not second.any()


def test_memory_that_a_view_or_a_tensor_looks_at_is_never_handed_out():
    memory = BatchMemory()
    array = memory.zeros((2, 3, 4))
    place = address(array)
    tensor = torch.from_numpy(array.transpose(2, 0, 1)[1:])[..., 1:]
    tensor.fill_(9)
    del array
    gc.collect()
    other = memory.zeros((2, 3, 4))
    assert address(other) != place
    assert (tensor == 9).all()
    del tensor
    assert address(memory.zeros((2, 3, 4))) == place


def test_threads_never_share_memory():
    memory = BatchMemory()

    def fill(value):
        for _ in range(300):
            array = memory.zeros((1000,))
            array += value
            assert (array == value).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(1, 5)))


def test_arrays_can_be_written_to():
    assert BatchMemory().zeros((3,)).flags.writeable
    assert BatchMemory().zeros((0, 4)).dtype == np.uint8
