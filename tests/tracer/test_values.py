"""Values that are neither plain data nor odd: what people give, kept as what it is."""

from __future__ import annotations

import argparse
import array
import base64
import collections
import collections.abc
import datetime
import decimal
import fractions
import ipaddress
import os
import pathlib
import random
import time
import types
import uuid
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import pytest

from logtracer import Tracer, TracerConfig
from needs import needs


def recorded(value: Any, config: TracerConfig | None = None) -> Any:
    """Record a value and return what was kept of it."""
    with Tracer(config).trace("run") as root:
        root.input(value=value)
    return root.node_record.input_data["value"]


class Row(datetime.date):
    """A value of a user's class that is made of one of the standard library's."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (fractions.Fraction(1, 3), "1/3"),
        (pathlib.PurePosixPath("/srv/x"), "/srv/x"),
        (pathlib.Path("x"), "x"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (Row(2026, 1, 2), "2026-01-02"),
        (datetime.time(3, 4, 5), "03:04:05"),
        (datetime.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
        (datetime.timezone.utc, "UTC"),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        (1 + 2j, "(1+2j)"),
        (range(3), "range(0, 3)"),
        (array.array("i", [1, 2]), [1, 2]),
        (collections.UserList([1, {"a": 2}]), [1, {"a": 2}]),
        (collections.UserDict({"a": 1}), {"a": 1}),
        (collections.ChainMap({"a": 1}, {"b": 2}), {"b": 2, "a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (int, "int"),
        (pytest.MonkeyPatch, "MonkeyPatch"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_kept_as_what_it_is(value: Any, expected: Any) -> None:
    assert recorded(value) == expected
    assert recorded([value]) == [expected]


def test_an_object_is_described_alike_in_every_process() -> None:
    class Thing:
        pass

    assert recorded(Thing()) == recorded(Thing())
    assert "0x" not in recorded(Thing()) and "Thing" in recorded(Thing())


# Mappings


class Headers(collections.abc.Mapping[str, str]):
    """A mapping that is no dict, as the headers of a request are."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> str:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@pytest.mark.parametrize(
    "make", [Headers, collections.UserDict, collections.ChainMap, lambda v: argparse.Namespace(**v)]
)
def test_secrets_in_a_mapping_of_any_kind_are_hidden(make: Any) -> None:
    value = make({"password": "hunter2", "customer": "Ada", "city": "Paris"})
    found = recorded(value, TracerConfig(redact_keys=["customer"]))
    assert found == {"password": "[REDACTED]", "customer": "[REDACTED]", "city": "Paris"}


def test_secrets_in_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_PASSWORD", "correct-horse")
    assert recorded(os.environ)["DEPLOY_PASSWORD"] == "[REDACTED]"


def test_a_mapping_without_end_is_bounded() -> None:
    class Endless(Headers):
        def __iter__(self) -> Iterator[str]:
            while True:
                yield "key"

    assert len(recorded(Endless({"key": "value"}))) <= 20_001


# Records


@dataclass
class Order:
    kind: ClassVar[str] = "order"
    item: str = "tea"
    source: InitVar[str] = "shop"
    count: int = field(default=1)


def test_a_dataclass_becomes_its_fields_alone() -> None:
    assert recorded(Order()) == {"item": "tea", "count": 1}


def test_a_pydantic_model_becomes_what_it_would_dump() -> None:
    pydantic: Any = import_module(needs("pydantic"))
    fields: Any = {
        "name": (str, "x"),
        "hidden": (str, pydantic.Field("secret", exclude=True)),
        "__config__": pydantic.ConfigDict(extra="allow"),
    }
    model = pydantic.create_model("Model", **fields)
    assert recorded(model(more=[1])) == {"name": "x", "more": [1]} == model(more=[1]).model_dump()
    assert recorded({"output_type": model}) == {"output_type": "Model"}


def test_an_old_pydantic_model_becomes_what_it_would_dump() -> None:
    v1: Any = import_module(needs("pydantic.v1"))
    fields: Any = {"name": (str, "x"), "hidden": (str, v1.Field("secret", exclude=True))}
    assert recorded(v1.create_model("Model", **fields)()) == {"name": "x"}


# Arrays and tables


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda np: np.longdouble(1.5), 1.5),
        (lambda np: np.datetime64("2025-01-02T03:04:05", "ns"), "2025-01-02T03:04:05.000000000"),
        (lambda np: np.array(["2025-01-02"], dtype="datetime64[ns]"),
         ["2025-01-02T00:00:00.000000000"]),
        (lambda np: np.timedelta64(5, "s"), "5 seconds"),
        (lambda np: np.array(1.5), 1.5),
        (lambda np: np.array([]), []),
        (lambda np: np.zeros((5_000, 5_000), dtype="float32"),
         "ndarray of shape (5000, 5000) and type float32 [TRUNCATED: original_size=25000000]"),
    ],
)  # fmt: skip
def test_values_of_numpy_are_kept_as_what_they_are(make: Any, expected: Any) -> None:
    assert recorded(make(import_module(needs("numpy")))) == expected


def test_values_of_pandas_are_kept_as_what_they_are() -> None:
    pandas: Any = import_module(needs("pandas"))
    assert recorded(pandas.NaT) == "NaT"
    assert recorded(pandas.Timestamp("2025-01-02")) == "2025-01-02T00:00:00"
    assert recorded(pandas.Series([1, 2])) == [1, 2]
    table = pandas.DataFrame({"city": ["Paris"], "password": ["hunter2"]})
    assert recorded(table) == {"city": ["Paris"], "password": "[REDACTED]"}


class Tensor:
    """An array whose `size` is a method."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.dtype = shape, "float32"

    dtype: Any = None
    shape: Any = None

    def size(self) -> tuple[int, ...]:
        return tuple(self.shape)

    def tolist(self) -> list[float]:
        return [0.0] * self.shape[0]

    def item(self) -> float:
        return 0.0


def test_an_array_whose_size_is_a_method_is_kept_too() -> None:
    assert recorded(Tensor(3)) == [0.0, 0.0, 0.0]
    assert recorded(Tensor(300, 300)).startswith("Tensor of shape (300, 300) and type float32")


# Pictures and bytes


def picture(size: int) -> str:
    return base64.b64encode(random.Random(7).randbytes(size)).decode()


def quickest(value: Any) -> float:
    """Return the least time that recording a value takes, in milliseconds."""
    tracer, times = Tracer(), []
    with tracer.trace("run") as root:
        for _ in range(7):
            with root.node("step") as step:
                began = time.thread_time_ns()
                step.input(value=value)
                times.append(time.thread_time_ns() - began)
    return min(times) / 1e6


@pytest.mark.parametrize("prefix", ["data:image/png;base64,", ""], ids=["data URL", "base64"])
def test_a_picture_is_shortened_and_what_follows_is_whole(prefix: str) -> None:
    url = prefix + picture(1_200_000)
    messages = [{"image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
    first, second = recorded(messages)
    kept = first["image_url"]["url"]
    assert kept.startswith(url[:64]) and len(kept) < 250
    assert kept.endswith(f" [TRUNCATED: original_size={len(url) - len(prefix)}]")
    assert second == {"type": "text", "text": "What is it?"}
    assert quickest(messages) < 25  # far more than it takes: the machine may be busy


def test_pictures_that_differ_are_told_apart() -> None:
    data = picture(100_000)
    changed = data[:1_000] + "A" + data[1_001:]
    assert len({recorded(data), recorded(changed), recorded(data + "AAAA")}) == 3
    assert recorded(data) == recorded(data)


def test_pictures_in_a_text_are_shortened_where_they_stand() -> None:
    text = " and ".join(f'<img src="data:image/png;base64,{picture(60_000)}">' for _ in range(3))
    kept = recorded(f"{text} are three")
    assert kept.count('<img src="data:image/png;base64,') == kept.count('">') == 3
    assert kept.endswith("> are three") and len(kept) < 1_000


def test_small_pictures_and_long_texts_are_kept() -> None:
    small = f"data:image/png;base64,{picture(20_000)}"
    words = " ".join(["word"] * 20_000)
    for text in (small, words, "x" * 100_000, "0123456789abcdef" * 5_000):
        assert recorded(text) == text


def test_bytes_that_are_no_text_are_kept_as_their_first_ones() -> None:
    data = b"\x89PNG\r\n" + random.Random(7).randbytes(1_000_000)
    for value in (data, bytearray(data), memoryview(data)):
        kept = recorded(value)
        assert kept.startswith(f"{type(value).__name__} \\x89PNG\r\n") and len(kept) < 400
        assert kept.endswith("... [TRUNCATED: original_size=1000006]")
    assert quickest(data) < 25


def test_bytes_that_are_text_are_kept_as_text() -> None:
    text = "Grüße, " * 2_000
    assert recorded(text.encode()) == text
    assert recorded(b"x" * 2_000_000).endswith("x... [TRUNCATED: original_size=2000000]")
    assert recorded(bytes(range(256))).endswith("\\xff")
