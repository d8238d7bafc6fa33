import pickle

import pytest

from pading.data.errors import DataError, MissingFileError


@pytest.mark.parametrize("kind", [DataError, MissingFileError])
def test_errors_survive_the_way_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind("a.png", "is cut", "fetch it")))
    assert type(error) is kind
    assert str(error) == "a.png: is cut; fetch it"
    assert (error.file, error.what, error.remedy) == ("a.png", "is cut", "fetch it")


def test_callers_may_catch_the_builtin_errors():
    assert issubclass(DataError, ValueError)
    assert issubclass(MissingFileError, FileNotFoundError)
