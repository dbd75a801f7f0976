"""Phoenix and MLflow, the real servers: they type what we send, and give it back as it was."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from logtracer import EdgeType, Node
from logtracer_extras.importers import import_traces
from logtracer_extras.otlp import OTLPStore
from needs import needs
from otlp_traces import document, everything
from servers import free_port, running, until

_PATIENCE = 300.0  # seconds; they import half of PyPI, and then make their databases
KINDS = {
    "trace": "AGENT",
    "llm_call": "LLM",
    "tool_call": "TOOL",
    "retrieval": "RETRIEVER",
    "validation": "GUARDRAIL",
    "sub_agent": "AGENT",
}
CODES = {"completed": "OK", "failed": "ERROR"}


def kind_of(node: Node) -> str:
    return KINDS.get(str(node.node_type), "CHAIN")


def ask(url: str, question: Any = None) -> Any:
    """Post a question, or get a page; return the JSON of the answer."""
    body = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
        return json.load(answer)


# ---- Phoenix -------------------------------------------------------------------------------------

PROJECTS = """{projects {edges {node {name tokenCountPrompt tokenCountCompletion
    spans(first: 100) {edges {node {name spanKind statusCode}}}}}}}"""


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Phoenix and send it a trace with everything; return its URL."""
    command = [needs("phoenix"), "serve"]
    folder, port = tmp_path_factory.mktemp("phoenix"), free_port()
    settings = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    url = f"http://127.0.0.1:{port}"
    project = {"openinference.project.name": "everything"}
    with running(command, port, folder, _PATIENCE, **settings):
        OTLPStore(url, resource=project, timeout=_PATIENCE).save(everything())
        until(lambda: len(phoenix_project(url)["spans"]["edges"]) == 17, _PATIENCE)
        yield url


def phoenix_project(url: str) -> Any:
    found = ask(f"{url}/graphql", {"query": PROJECTS})["data"]["projects"]["edges"]
    named = [edge["node"] for edge in found if edge["node"]["name"] == "everything"]
    return named[0] if named else {"spans": {"edges": []}}


def test_phoenix_types_every_node_and_keeps_its_status(phoenix: str) -> None:
    edges = phoenix_project(phoenix)["spans"]["edges"]
    found = {edge["node"]["name"]: edge["node"] for edge in edges}

    for node in everything().nodes.values():
        assert found[node.name]["spanKind"].upper() == kind_of(node)
        assert found[node.name]["statusCode"] == CODES.get(node.status, "UNSET")


def test_phoenix_counts_the_tokens(phoenix: str) -> None:
    project = phoenix_project(phoenix)

    assert (project["tokenCountPrompt"], project["tokenCountCompletion"]) == (120, 30)


@pytest.mark.parametrize("page", ["spans", "spans/otlpv1"])
def test_phoenix_gives_the_trace_back_as_it_was(phoenix: str, page: str) -> None:
    answer = ask(f"{phoenix}/v1/projects/everything/{page}?limit=100")

    (trace,) = import_traces(json.dumps(answer))
    assert document(trace) == document(everything())


# ---- MLflow --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start MLflow, send it a trace with everything, and return what it answers about it."""
    program = needs("mlflow")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    database = f"sqlite:///{folder / 'mlflow.db'}"
    command = [
        *(program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", database, "--default-artifact-root", str(folder)),
    ]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    url, headers = f"http://127.0.0.1:{port}", {"x-mlflow-experiment-id": "0"}
    with running(command, port, folder, _PATIENCE, **settings):
        OTLPStore(url, headers=headers, timeout=_PATIENCE).save(everything())
        yield ask(f"{url}/api/3.0/mlflow/traces/get?trace_id=tr-{everything().trace_id}")["trace"]


def attributes(record: Any) -> dict[str, Any]:
    """Return the attributes that are plain texts."""
    return {item["key"]: item["value"].get("string_value") for item in record["attributes"]}


def test_mlflow_types_every_node_and_keeps_its_status(mlflow: Any) -> None:
    found = {record["name"]: record for record in mlflow["spans"]}

    for node in everything().nodes.values():
        record = found[node.name]
        code = record["status"].get("code", "STATUS_CODE_UNSET").removeprefix("STATUS_CODE_")
        assert attributes(record)["mlflow.spanType"] == kind_of(node)
        assert code == CODES.get(node.status, "UNSET")


def test_mlflow_keeps_every_type_of_edge_as_a_link(mlflow: Any) -> None:
    links = [link for record in mlflow["spans"] for link in record.get("links", [])]

    assert {attributes(link)["logtracer.edge.type"] for link in links} == set(map(str, EdgeType))


def test_mlflow_counts_the_tokens_and_knows_the_session(mlflow: Any) -> None:
    facts = mlflow["trace_info"]["trace_metadata"]

    assert json.loads(facts["mlflow.trace.tokenUsage"]) == {
        "input_tokens": 120,
        "output_tokens": 30,
        "total_tokens": 150,
        "cache_read_input_tokens": 64,
        "cache_creation_input_tokens": 16,
    }
    assert facts["mlflow.trace.session"] == "session-1"


def test_mlflow_gives_the_trace_back_as_it_was(mlflow: Any) -> None:
    (trace,) = import_traces(json.dumps({"trace": mlflow}))

    assert document(trace) == document(everything())
