"""All adapters at once, and what holds for each whatever product is there."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from adapters.products import product
from adapters.trees import last_trace, tree
from conftest import ROOT
from logtracer import MemoryStore, Tracer, TracerConfig, current_span
from logtracer_extras.adapters import all as adapter

NAMES = [
    "agno", "anthropic", "autogen", "http", "langchain", "openai", "openai_agents", "swarm",
]  # fmt: skip

IMPORTS_NOTHING = """
import importlib, pkgutil, sys
import logtracer_extras.adapters as adapters

for module in pkgutil.iter_modules(adapters.__path__):
    importlib.import_module(f"logtracer_extras.adapters.{module.name}")
products = {"agents", "agno", "aiohttp", "anthropic", "autogen_core", "crewai", "httpx", "openai",
            "langchain_core", "opentelemetry", "requests", "swarm"}
print(sorted(products & set(sys.modules)))
"""


PROGRAM = """
import sys, threading
import logtracer
if sys.argv[1:] == ["traced"]:
    logtracer.configure(auto_instrument=["all"])

import openai
from agno.agent import Agent
from agno.models.openai import OpenAIChat
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

def get_weather(city: str) -> str:
    "Return the weather of a city."
    return "21"

def work():
    said = [{"role": "user", "content": "weather?"}]
    with openai.OpenAI() as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=said)
        stream = client.chat.completions.create(model="gpt-4o", messages=said, stream=True)
        print(type(answer), answer.choices, type(stream))
        print([chunk.choices for chunk in stream])
    print(Agent(model=OpenAIChat(id="gpt-4o"), tools=[get_weather]).run("weather?").content)
    graph = create_agent(ChatOpenAI(model="gpt-4o"), [get_weather])
    print([message.content for message in graph.invoke({"messages": said})["messages"]])

work()
if sys.argv[1:] == ["traced"]:
    with logtracer.trace("run") as root:
        work()
    assert len(root.trace.nodes) > 10
else:
    work()
print(threading.active_count(), logtracer.current_span())
"""


def test_these_are_all_adapters() -> None:
    assert set(NAMES) <= set(adapter.names())


def test_no_product_is_imported_before_it_is_installed() -> None:
    command = [sys.executable, "-c", IMPORTS_NOTHING]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)
    assert (run.stdout, run.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_product_gets_one_clear_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = importlib.import_module(f"logtracer_extras.adapters.{name}").ADAPTER
    monkeypatch.setattr(one, "needs", ("nothing_of_this_name",))
    with pytest.raises(ImportError, match=f"^the {name} adapter needs nothing_of_this_name$"):
        one.install()
    assert not one.is_installed


def test_all_of_them_leave_the_host_as_it_was(model_apis: str) -> None:
    openai = product("openai")
    before = vars(openai._base_client.SyncAPIClient)["request"]
    tracer = Tracer(TracerConfig(auto_instrument=["all"]), MemoryStore())
    try:
        assert vars(openai._base_client.SyncAPIClient)["request"] is not before
        with tracer.trace("run") as root, openai.OpenAI() as client:
            messages = [{"role": "user", "content": "hello"}]
            client.chat.completions.create(model="gpt-4o", messages=messages)
            assert current_span() is root
    finally:
        adapter.uninstall()
    assert tree(last_trace(tracer)) == ["llm_call chat gpt-4o"]
    assert vars(openai._base_client.SyncAPIClient)["request"] is before
    one = importlib.import_module("logtracer_extras.adapters.openai").ADAPTER
    assert not one.is_installed


def test_a_program_says_the_same_with_all_of_them(model_apis: str) -> None:
    product("agno")
    product("langchain_openai")
    told = []
    for how in ("plain", "traced"):
        command = [sys.executable, "-c", PROGRAM, how]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120)
        assert run.returncode == 0, run.stderr
        told.append((run.stdout, run.stderr))
    assert told[0] == told[1]


def test_every_example_is_run_by_the_tests_of_its_product() -> None:
    tests = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/adapters/test_*.py"))
    examples = [path.stem for path in ROOT.glob("examples/frameworks/*.py")]
    assert [name for name in examples if f'example = "{name}"' not in tests] == []
    assert len(examples) == 13
