"""Values of well-known libraries, which no test of the tracer alone can have."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from logtracer import Tracer
from needs import needs


def recorded(value: Any) -> Any:
    """Record a value and return what was kept of it."""
    with Tracer().trace("run") as root:
        root.input(value=value)
    return root.node_record.input_data["value"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda numpy: numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (lambda numpy: numpy.float64(1.5), 1.5),
        (lambda numpy: numpy.int64(7), 7),
        (lambda numpy: numpy.bool_(True), True),
        (lambda numpy: numpy.array(["a"]), ["a"]),
    ],
)
def test_numpy_values_become_plain_numbers_and_lists(make: Any, expected: Any) -> None:
    assert recorded(make(import_module(needs("numpy")))) == expected


def test_a_large_array_is_described_not_copied() -> None:
    assert len(str(recorded(import_module(needs("numpy")).zeros((5_000, 5_000))))) < 10_000


def test_pandas_values_are_recorded_in_some_form() -> None:
    pandas = import_module(needs("pandas"))
    assert recorded(pandas.DataFrame({"a": [1]}))
    assert recorded(pandas.Series([1, 2]))


def test_pydantic_models_become_their_fields_and_secrets_are_hidden() -> None:
    pydantic = import_module(needs("pydantic"))
    model = pydantic.create_model("Model", city=(str, ...), password=(str, ...))
    found = recorded([model(city="Paris", password="hunter2")])
    assert found == [{"city": "Paris", "password": "[REDACTED]"}]
