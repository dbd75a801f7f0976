"""Values: whatever the host records, nothing raises, nothing hangs, and the file is strict JSON."""

from __future__ import annotations

import array
import ctypes
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import itertools
import json
import pathlib
import random
import re
import sys
import threading
import time
import tracemalloc
import types
import uuid
import weakref
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from logtracer import Tracer, TracerConfig, trace_from_json, trace_to_json
from stress.figures import figure
from stress.reading import named, only_trace
from stress.stores import STORES

LARGE = figure(10_000_000, 100_000_000)  # characters

# ---- Shapes -------------------------------------------------------------------------------------


def fail(*args: Any, **kwargs: Any) -> Any:
    raise LookupError("from a value's own code")


def hostile(bases: tuple[type, ...], *names: str) -> Any:
    """Return a class whose special methods of these names do nothing but raise."""
    return type("Hostile", bases, dict.fromkeys(names, fail))


def cyclic_list() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def cyclic_dict() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = [value, {"again": value}]
    return value


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = wrap(value)
    return value


def cyclic_object() -> Any:
    value = types.SimpleNamespace()
    value.self = value
    return value


@dataclasses.dataclass
class Point:
    x: int
    y: Any


@dataclasses.dataclass
class Unset:
    """A dataclass whose field was never set."""

    field: int = dataclasses.field(init=False)


def cyclic_dataclass() -> Point:
    point = Point(1, None)
    point.y = point
    return point


class Color(enum.Enum):
    RED = "red"
    ODD = object()


class LyingSize(list[int]):
    """Says it holds nothing, or everything."""

    def __len__(self) -> int:
        return sys.maxsize

    def __iter__(self) -> Iterator[int]:
        return itertools.count()

    def __getitem__(self, key: Any) -> Any:
        return 1


class EndlessDict(dict[str, int]):
    def items(self) -> Any:
        return ((str(number), number) for number in itertools.count())

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def copy(self) -> Any:
        return fail()


class EveryAttribute:
    """Has every attribute that is asked for, and each is callable."""

    def __getattr__(self, name: str) -> Any:
        return EveryAttribute()

    def __call__(self, *args: Any, **kwargs: Any) -> EveryAttribute:
        return self


class LongRepr:
    def __repr__(self) -> str:
        return "r" * LARGE


class ReprOfAnotherType:
    def __repr__(self) -> Any:
        return 42


class SlottedText(str):
    __slots__ = ()

    def __str__(self) -> Any:
        return fail()

    def __len__(self) -> int:
        raise LookupError("from __len__")


class LyingMeta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        raise LookupError

    def __getattribute__(cls, name: str) -> Any:
        raise LookupError(name)


class Lied(metaclass=LyingMeta):
    pass


def generator() -> Iterator[int]:
    yield from itertools.count()


async def coroutine() -> None:
    return None


def closed_coroutine() -> Any:
    made = coroutine()
    made.close()
    return made


def raised() -> BaseException:
    try:
        raise ValueError("kept")
    except ValueError as error:
        return error


Pair = namedtuple("Pair", "left right")

SHAPES: dict[str, Callable[[], Any]] = {
    # plain
    "none": lambda: None,
    "true": lambda: True,
    "zero": lambda: 0,
    "negative zero": lambda: -0.0,
    "huge int": lambda: 10**5_000,
    "huge negative int": lambda: -(10**100_000),
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "negative infinity": lambda: float("-inf"),
    "complex": lambda: 1 + 2j,
    "decimal nan": lambda: decimal.Decimal("sNaN"),
    "fraction": lambda: fractions.Fraction(1, 3),
    # text and bytes
    "lone surrogate": lambda: "\ud800",
    "long lone surrogates": lambda: "\udfff" * 100_000,
    "nul": lambda: "a\0b",
    "control characters": lambda: "".join(map(chr, range(0xA0))),
    "bidi and separators": lambda: "\u202e\u2028\u2029\u0085\ufeff",
    "every plane": lambda: "\U0010ffff\U0001f600e\u0301",
    "long text": lambda: "x" * LARGE,
    "bytes": lambda: bytes(range(256)),
    "long bytes": lambda: bytes(LARGE),
    "bytearray": lambda: bytearray(b"\xff\xfe"),
    "memoryview": lambda: memoryview(b"abc"),
    "array": lambda: array.array("d", [1.5, float("nan")]),
    "text subclass": lambda: SlottedText("secret text"),
    # containers
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "cyclic object": cyclic_object,
    "cyclic dataclass": cyclic_dataclass,
    "deep list": lambda: nested(100_000, lambda value: [value]),
    "deep dict": lambda: nested(10_000, lambda value: {"below": value}),
    "deep tuple": lambda: nested(10_000, lambda value: (value,)),
    "shared 2^40 lists": lambda: nested(40, lambda value: [value, value]),
    "shared 2^40 dicts": lambda: nested(40, lambda value: {"a": value, "b": value}),
    "million items": lambda: list(range(1_000_000)),
    "half a million keys": lambda: {number: number for number in range(500_000)},
    "range of 10^12": lambda: range(10**12),
    "endless generator": generator,
    "endless count": lambda: itertools.count(),
    "endless map": lambda: map(str, itertools.count()),
    "lying size": lambda: LyingSize([1, 2]),
    "endless dict": lambda: EndlessDict(a=1),
    "raising dict": lambda: hostile((dict,), "items", "keys", "__iter__", "__len__", "copy")(a=1),
    "raising list": lambda: hostile((list,), "__iter__", "__len__", "__getitem__")([1]),
    "raising tuple": lambda: hostile((tuple,), "__iter__", "__len__", "__getitem__")((1,)),
    "raising set": lambda: hostile((set,), "__iter__", "__len__")({1}),
    "set": lambda: {1, "a", None},
    "frozenset": lambda: frozenset({frozenset({1})}),
    "deque": lambda: deque([1, 2], maxlen=2),
    "dict views": lambda: [{1: 2}.keys(), {1: 2}.values(), {1: 2}.items()],
    "default dict": lambda: defaultdict(list, a=[1]),
    "counter": lambda: Counter("aab"),
    "ordered dict": lambda: OrderedDict(a=1),
    "chain map": lambda: ChainMap({"a": 1}, {"b": 2}),
    "user dict": lambda: UserDict(a=1),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "odd keys": lambda: {
        None: 1,
        (1, 2): 2,
        b"b": 3,
        1.5: 4,
        "": 5,
        frozenset(): 6,
        float("nan"): 7,
    },
    "keys that meet": lambda: {1: "int", "1": "text"},
    "long key": lambda: {"k" * 10_000_000: 1},
    "raising key": lambda: {hostile((), "__repr__", "__str__")(): 1},
    "named tuple": lambda: Pair(1, cyclic_list()),
    # objects
    "object": object,
    "class": lambda: int,
    "module": lambda: sys,
    "function": lambda: fail,
    "lambda": lambda: lambda: None,
    "coroutine": closed_coroutine,
    "exception": raised,
    "frame": lambda: sys._getframe(),
    "enum": lambda: [Color.RED, Color.ODD],
    "path": lambda: pathlib.PurePosixPath("/tmp/x"),
    "uuid": lambda: uuid.UUID(int=1),
    "datetime": lambda: [datetime.datetime(1, 1, 1), datetime.date.min, datetime.timedelta.max],
    "address": lambda: ipaddress.ip_address("::1"),
    "pattern": lambda: re.compile("x"),
    "lock": threading.Lock,
    "dead proxy": lambda: weakref.proxy(type("Short", (), {})()),
    "ctypes": lambda: (ctypes.c_int * 3)(1, 2, 3),
    "dataclass": lambda: Point(1, {"nested": [Point(2, 3)]}),
    "unset dataclass": Unset,
    "dataclass type": lambda: Point,
    "mock": mock.Mock,
    "magic mock": mock.MagicMock,
    "every attribute": EveryAttribute,
    "namespace of shared lists": lambda: types.SimpleNamespace(x=SHAPES["shared 2^40 lists"]()),
    "raising repr": lambda: hostile((), "__repr__", "__str__")(),
    "repr of another type": ReprOfAnotherType,
    "long repr": LongRepr,
    "raising everything": lambda: hostile(
        (), "__repr__", "__getattribute__", "__eq__", "__hash__", "__bool__", "__len__", "__iter__"
    )(),
    "raising __class__": lambda: type("Hostile", (), {"__class__": property(fail)})(),
    "lying __class__": lambda: type("Hostile", (), {"__class__": property(lambda self: dict)})(),
    "lying metaclass": lambda: object.__new__(Lied),
    "raising int": lambda: hostile((int,), "__int__", "__repr__", "bit_length", "__index__")(7),
    "raising float": lambda: hostile((float,), "__float__", "__repr__", "__sub__")(1.5),
    "raising bytes": lambda: hostile((bytes,), "decode", "__len__", "__getitem__")(b"abc"),
    "raising datetime": lambda: hostile((datetime.datetime,), "isoformat")(2026, 1, 1),
    "unhashable": lambda: type("Hostile", (), {"__eq__": fail, "__hash__": None})(),
    "fields that lie": lambda: type("Hostile", (tuple,), {"_fields": EveryAttribute()})((1,)),
    "dataclass fields that lie": lambda: type("Hostile", (), {"__dataclass_fields__": 7})(),
    "array that lies": lambda: type("Hostile", (), {"dtype": 1, "size": 1, "tolist": fail})(),
}


RECORDINGS = 4  # of the value, by `record`


def record(value: Any, store: Any = None, config: TracerConfig | None = None) -> Tracer:
    """Give a value to a span by every way there is, and end the trace."""
    tracer = Tracer(config, storage=store)
    with tracer.trace("run", {"value": value}) as root, root.node("step") as step:
        step.input(value=value)
        step.output(value=value)
        step.annotate(value)
    return tracer


def strictly(text: str) -> Any:
    """Parse JSON as its standard has it, without NaN."""
    return json.loads(text.encode("utf-8"), parse_constant=fail)


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_value_is_recorded_quickly_as_strict_json(
    shape: str, kind: str, tmp_path: Path
) -> None:
    value = SHAPES[shape]()
    began = time.process_time()
    tracer = record(value, STORES[kind](tmp_path))
    trace = only_trace(tracer)
    text = trace_to_json(trace, indent=None)
    assert time.process_time() - began < 3 * RECORDINGS
    strictly(text)
    assert trace_from_json(text) == trace
    assert tracer.stats() == {"started": 2, "finished": 2, "saved": 2, "dropped": 0, "errors": 0}
    assert named(trace, "step").status == "completed"
    assert len(text) < 6_000_000 * RECORDINGS  # a NUL takes six characters


def test_there_are_more_hostile_shapes_than_the_catalogue_asks_for() -> None:
    assert len(SHAPES) >= 81


def recorded(value: Any, config: TracerConfig | None = None) -> Any:
    return named(only_trace(record(value, config=config)), "step").input_data["value"]


def test_harmless_data_is_recorded_as_it_is() -> None:
    value = {"text": "Paris", "numbers": [1, 2.5, True, None], "nested": {"list": [[1], []]}}
    assert recorded(value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Pair(1, 2), {"left": 1, "right": 2}),
        (Color.RED, "red"),
        (b"text", "text"),
        (deque([1]), [1]),
        ({1: 2, None: 3}, {"1": 2, "None": 3}),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
    ],
)
def test_the_usual_python_values_become_the_data_one_expects(value: Any, expected: Any) -> None:
    assert recorded(value) == expected


def test_what_was_replaced_says_so() -> None:
    assert "[NON-SERIALIZABLE]" in recorded(object())
    assert "[NON-SERIALIZABLE]" in str(recorded(10**5_000))
    assert recorded(cyclic_list()) == [1, "[CIRCULAR]"]
    assert recorded("x" * 2_000_000).endswith("[TRUNCATED: original_size=2000000]")


def test_an_object_that_is_shared_and_not_cyclic_is_recorded_each_time() -> None:
    shared = {"a": 1}
    assert recorded([shared, shared]) == [shared, shared]


def test_a_value_that_changes_after_it_was_recorded_does_not_change_the_record() -> None:
    below = [1]
    value = {"version": "v1", "list": below}
    tracer = Tracer()
    with tracer.trace("run") as root, root.node("step") as step:
        step.input(value=value)
        value["version"] = "CHANGED"
        below.append(2)
    found = named(only_trace(tracer), "step").input_data["value"]
    assert found == {"version": "v1", "list": [1]}


def test_values_given_bit_by_bit_add_up() -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        root.input(first=1)
        root.input(second=[2])
        root.input(first=3)
    assert only_trace(tracer).root_nodes[0].input_data == {"first": 3, "second": [2]}


def test_containers_that_another_thread_changes_are_recorded_without_an_error() -> None:
    def change() -> None:
        while not stop.is_set():
            number = random.randrange(500)
            mapping[number] = number
            mapping.pop(number - 1, None)
            members.symmetric_difference_update({number})
            items.append(number)
            del items[:-500]

    mapping: dict[int, int] = {}
    members: set[int] = set()
    items: list[int] = []
    stop = threading.Event()
    thread = threading.Thread(target=change)
    thread.start()
    tracer = Tracer()
    with tracer.trace("run") as root:
        for _ in range(200):
            with root.node("step") as step:
                step.input(mapping=mapping, members=members, items=items)
    stop.set()
    thread.join()
    assert tracer.stats()["errors"] == 0
    assert all(node.input_data for node in root.trace.nodes.values() if node.name == "step")


# ---- Bounds -------------------------------------------------------------------------------------


def test_a_limit_holds_for_every_text_in_a_value() -> None:
    config = TracerConfig(max_input_size=100, max_output_size=10)
    trace = only_trace(record(["a" * 1_000, {"below": "b" * 1_000}], config=config))
    step = named(trace, "step")
    first, second = step.input_data["value"]
    assert first == "a" * 100 + "... [TRUNCATED: original_size=1000]"
    assert second["below"].startswith("b" * 100 + "... [TRUNCATED")
    assert step.output_data["value"][0] == "a" * 10 + "... [TRUNCATED: original_size=1000]"


def test_a_value_of_many_texts_is_bounded_as_a_whole() -> None:
    value = [{"text": "x" * 1_000} for _ in range(30_000)]  # 30 MB
    tracer = Tracer(TracerConfig(max_value_size=10_000))
    tracemalloc.start()
    began = time.process_time()
    with tracer.trace("run") as root:
        root.input(value=value)
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(trace_to_json(only_trace(tracer))) < 60_000
    assert seconds < 3
    assert peak < 50_000_000


@pytest.mark.parametrize(
    "value",
    [
        "x" * 30_000_000,
        ["x" * 1_000_000] * 30,
        {"k" * 100 + str(number): number for number in range(100_000)},
        [[0]] * 1_000_000,
        [""] * 1_000_000,
        {f"{number}": {} for number in range(1_000_000)},
        "\u20ac" * 10_000_000,
    ],
    ids=["text", "texts", "keys", "lists", "empty texts", "dicts", "wide characters"],
)
def test_the_bound_of_a_value_holds_for_every_way_to_be_large(value: Any) -> None:
    tracer = Tracer(TracerConfig(max_value_size=10_000))
    with tracer.trace("run") as root:
        root.input(value=value)
    assert len(trace_to_json(only_trace(tracer), indent=None).encode()) < 600_000


# ---- Names, labels, statuses: arguments that are no plain text ----------------------------------

NAMES: dict[str, Any] = {
    "list": [],
    "none": None,
    "object": object(),
    "surrogate": "\ud800",
    "long": "n" * 1_000_000,
    "empty": "",
    "raising hash": hostile((str,), "__hash__", "__eq__", "__str__")("name"),
    "raising text": hostile((), "__str__", "__repr__")(),
}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("name", NAMES)
def test_odd_names_labels_and_statuses_never_raise(name: str, kind: str, tmp_path: Path) -> None:
    odd = NAMES[name]
    tracer = Tracer(storage=STORES[kind](tmp_path))
    with tracer.trace(odd) as root, root.node(odd, node_type=odd) as first:
        first.set_status(odd)
        with root.node("second") as second:
            first.link(second, edge_type=odd, label=odd)
            first.link(odd)
    trace = only_trace(tracer)
    assert trace_from_json(trace_to_json(trace)) == trace
    assert len(trace.nodes) == 3
    assert tracer.stats()["saved"] == 3
