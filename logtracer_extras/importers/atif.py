"""ATIF: the trajectories that Harbor and Terminal-Bench write for every agent, 1.0 to 1.8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logtracer import NodeType

from ..conventions.atif import OWN, message_of_step
from ..conventions.reading import Facts
from ..conventions.usage import COST, amount_of, usage_facts
from ..conventions.values import object_of, objects_in, to_json, well_formed
from ._conversation import Call, Conversation, Result, Said
from ._spans import STATUSES, SpanRecord, add_note
from ._values import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    clean_value,
    clean_values,
    clock_time,
    hashed_id,
    id_of,
    moment_of,
    optional_text,
    text_of,
    without_none,
)

__all__ = ["is_atif", "read_atif"]


def is_atif(document: dict[str, Any]) -> bool:
    version = document.get("schema_version")
    return isinstance(version, str) and version.startswith("ATIF-v")


def read_atif(document: dict[str, Any], source: str) -> Iterator[SpanRecord]:
    return iter(_Trajectories(document, hashed_id(source, TRACE_DIGITS)).spans())


class _Trajectories:
    """A trajectory with those embedded in it, as one trace."""

    def __init__(self, document: dict[str, Any], trace_id: str) -> None:
        self._document = document
        self._trace_id = trace_id
        embedded = objects_in(document.get("subagent_trajectories"), "subagent_trajectories")
        self._embedded = {text_of(one.get("trajectory_id")): one for one in embedded}
        self._spans: list[SpanRecord] = []
        self._header = _own_of(document)

    def spans(self) -> list[SpanRecord]:
        root = self._agent_span(self._document, "trace", None, "")
        own = object_of(self._header.get("root"))
        has_root = bool(own) or not self._header
        if has_root:
            self._spans.append(root)
        if own:
            _restore(root, own)
        self._read(self._document, root)
        for key in list(self._embedded):  # whom no step refers to
            self._read_embedded(key, root, {})
        if not has_root:
            for span in self._spans:
                span.parent_id = None if span.parent_id == root.span_id else span.parent_id
        if self._header and self._spans:
            header = {name: self._header.get(name) for name in _HEADER}
            self._spans[0].own["logtracer.trace"] = to_json(header)
            self._order()
        return self._spans

    def _order(self) -> None:
        """Let steps without a time stay where their numbers put them."""
        starts = [span.start for span in self._spans if span.start is not None]
        moment = min(starts, default=None)
        for span in sorted(self._spans, key=lambda span: span.sequence_number):
            span.order = moment = span.start or moment

    def _agent_span(
        self, document: dict[str, Any], kind: str, above: SpanRecord | None, key: str
    ) -> SpanRecord:
        agent = object_of(document.get("agent"))
        kept = {f"atif.{name}": document[name] for name in document if name not in _TAKEN}
        kept |= {f"atif.agent.{name}": agent[name] for name in agent if name not in _AGENT_TAKEN}
        facts = Facts(kind, metadata=clean_values(kept))
        if agent.get("tool_definitions"):
            facts.metadata["gen_ai.tool.definitions"] = clean_value(agent["tool_definitions"])
        if isinstance(document.get("session_id"), str):
            facts.metadata["session.id"] = well_formed(document["session_id"])
        span_id = hashed_id(f"{self._trace_id}/agent/{key}", SPAN_DIGITS)
        return SpanRecord(
            self._trace_id,
            text_of(agent.get("name")) or "agent",
            facts,
            span_id,
            None if above is None else above.span_id,
        )

    def _read(self, document: dict[str, Any], root: SpanRecord) -> None:
        talk = Conversation(self._trace_id, root.span_id, f"step/{root.span_id}")
        models = object_of(document.get("agent")).get("model_name")
        for step in objects_in(document.get("steps"), "steps"):
            before = len(talk.spans)
            own = _own_of(step)
            if own == {} and OWN in object_of(step.get("extra")):
                self._refer(step, root, [])  # a step that our own exporter needed for a reference
                continue
            self._add_step(talk, step, models)
            fresh = talk.spans[before:]
            self._spans += fresh
            _restore_step(step, own, fresh)
            self._refer(step, root, fresh)
        if not self._header:
            list(talk.close(root))
            _check_totals(root, object_of(document.get("final_metrics")), talk.spans)

    def _add_step(self, talk: Conversation, step: dict[str, Any], model: Any) -> None:
        source = text_of(step.get("source"))
        moment = clock_time(step.get("timestamp"))
        observation = object_of(step.get("observation"))
        results = [_result(one) for one in objects_in(observation.get("results"), "results")]
        if source != "agent":
            message: dict[str, Any] = {"role": source, "content": step.get("message")}
            if results:
                message["observation"] = [one.output for one in results]
            span = talk.add(Said(source, message, start=moment, end=moment))
        else:
            span = self._add_agent_step(talk, step, results, model)
        if span is not None:
            _keep_rest(span, step)

    def _add_agent_step(
        self, talk: Conversation, step: dict[str, Any], results: list[Result], model: Any
    ) -> SpanRecord | None:
        calls = [_call(one) for one in objects_in(step.get("tool_calls"), "tool_calls")]
        for result in results:
            if not result.id and len(calls) == 1:
                result.id = calls[0].id
        known = {call.id for call in calls}
        loose = [one.output for one in results if one.id not in known]
        said = Said("assistant", message_of_step(step), calls)
        said.start = clock_time(step.get("timestamp"))
        name = step.get("model_name") or model
        if isinstance(name, str) and name:
            said.name = said.metadata["gen_ai.request.model"] = well_formed(name)
        is_copy = step.get("is_copied_context") is True
        if not is_copy:
            said.metadata |= _usage(object_of(step.get("metrics")))
        has_model = step.get("llm_call_count") != 0
        span = talk.add(said)
        for result in _answers(results, known):
            message = {"role": "tool", "tool_call_id": result.id, **result.output}
            talk.add(Said("tool", message, results=[result], is_more_than_results=False))
        if loose:
            talk.add(Said("observation", {"role": "observation", "content": loose}))
        if is_copy:
            _make_copies(talk.spans)
        elif not has_model and span is not None:
            _make_dispatch(talk, span, step)
            return span if span in talk.spans else None
        return span

    def _refer(self, step: dict[str, Any], root: SpanRecord, fresh: list[SpanRecord]) -> None:
        """Read the embedded trajectories that a step refers to, below the call they answer."""
        observation = object_of(step.get("observation"))
        for result in objects_in(observation.get("results"), "results"):
            references = objects_in(result.get("subagent_trajectory_ref"), "references")
            above = _caller(result, fresh) if references else None
            for reference in references:
                key = text_of(reference.get("trajectory_id"))
                if not self._read_embedded(key, above or root, reference):
                    facts = (above or root).facts
                    kept = facts.metadata.setdefault("atif.subagent_trajectory_ref", [])
                    kept.append(clean_value(reference))

    def _read_embedded(self, key: str, above: SpanRecord, reference: dict[str, Any]) -> bool:
        document = self._embedded.pop(key, None)
        if document is None:
            return False
        span = self._agent_span(document, NodeType.SUB_AGENT, above, key)
        self._spans.append(span)
        _restore(span, _own_of(reference))
        self._read(document, span)
        return True


def _caller(result: dict[str, Any], fresh: list[SpanRecord]) -> SpanRecord | None:
    """Return the call of a step that a result answers: the last one, when it names none."""
    key = text_of(result.get("source_call_id"))
    for span in reversed(fresh):
        is_tool = span.facts.node_type == NodeType.TOOL_CALL
        if is_tool and key in ("", span.facts.metadata.get("gen_ai.tool.call.id"), span.span_id):
            return span
    return None


_TAKEN = ("schema_version", "session_id", "agent", "steps", "subagent_trajectories", "extra")
_AGENT_TAKEN = ("name", "tool_definitions")
_HEADER = ("trace_id", "name", "start_time", "end_time", "metadata")


def _own_of(thing: dict[str, Any]) -> dict[str, Any]:
    return object_of(object_of(thing.get("extra")).get(OWN))


def _call(call: dict[str, Any]) -> Call:
    kept = {"atif.extra": call["extra"]} if call.get("extra") else {}
    name = text_of(call.get("function_name"))
    return Call(name, call.get("arguments"), text_of(call.get("tool_call_id")), kept)


def _result(result: dict[str, Any]) -> Result:
    output = {name: result[name] for name in ("content", "extra") if result.get(name) is not None}
    return Result(text_of(result.get("source_call_id")), "", output)


def _answers(results: list[Result], known: set[str]) -> list[Result]:
    """Return the results of calls; several of one call are its one answer."""
    answers: dict[str, Result] = {}
    for result in results:
        if result.id not in known:
            continue
        first = answers.setdefault(result.id, result)
        if first is not result:
            more = first.output.setdefault("more", [])
            more.append(result.output)
    return list(answers.values())


def _usage(metrics: dict[str, Any]) -> dict[str, Any]:
    facts = usage_facts(metrics)
    amount = amount_of(metrics.get("cost_usd"))
    if amount is not None:
        facts[COST] = amount
    if object_of(metrics.get("extra")):
        facts["atif.metrics.extra"] = metrics["extra"]
    return facts


_STEP_TAKEN = {
    "step_id",
    "timestamp",
    "source",
    "model_name",
    "message",
    "reasoning_content",
    "tool_calls",
    "observation",
    "metrics",
}


def _keep_rest(span: SpanRecord, step: dict[str, Any]) -> None:
    kept = {f"atif.{name}": step[name] for name in step if name not in _STEP_TAKEN}
    span.facts.metadata |= clean_values(without_none(kept))


def _make_copies(spans: list[SpanRecord]) -> None:
    """Make steps that another trajectory has counted into mere context."""
    for span in reversed(spans):
        if "atif.copied" in span.facts.metadata:
            break
        is_model = span.facts.node_type == NodeType.LLM_CALL
        if is_model or span.facts.node_type == NodeType.TOOL_CALL:
            span.facts.node_type = NodeType.CUSTOM
            span.facts.metadata["atif.copied"] = True
        if is_model:
            break


def _make_dispatch(talk: Conversation, span: SpanRecord, step: dict[str, Any]) -> None:
    """Take the model out of a step that no model made: a word of the agent's, or only its tools."""
    span.facts.input_data = {}
    if step.get("message"):
        span.facts.node_type = NodeType.CUSTOM
        span.name = "agent"
    elif step.get("tool_calls"):
        talk.remove(span)


def _check_totals(root: SpanRecord, totals: dict[str, Any], spans: list[SpanRecord]) -> None:
    """Say so when the steps' tokens are not what the trajectory says they are."""
    for way, name in (("input", "prompt"), ("output", "completion")):
        told = totals.get(f"total_{name}_tokens")
        parts = [span.facts.metadata.get(f"gen_ai.usage.{way}_tokens") for span in spans]
        found = sum(part for part in parts if isinstance(part, int))
        if isinstance(told, int) and found and told != found:
            add_note(root, f"its steps have {found} {way} tokens, its total says {told}")


def _restore_step(step: dict[str, Any], own: dict[str, Any], fresh: list[SpanRecord]) -> None:
    """Give the spans of a step back what our own exporter kept of them."""
    calls = [_own_of(object_of(call)) for call in step.get("tool_calls") or []]
    tools = [span for span in fresh if span.facts.node_type == NodeType.TOOL_CALL]
    for span, known in zip(tools, calls):
        _restore(span, known)
    others = [span for span in fresh if not any(span is tool for tool in tools)]
    if others:
        _restore(others[0], own)


def _restore(span: SpanRecord, own: dict[str, Any]) -> None:
    if not own:
        return
    span.name = text_of(own.get("name"))
    span.start, span.end = moment_of(own.get("start_time")), moment_of(own.get("end_time"))
    span.status = STATUSES.get(str(own.get("status"))) or span.status
    span.error = optional_text(own.get("error"))
    span.error_type = optional_text(own.get("error_type"))
    span.error_traceback = optional_text(own.get("error_traceback"))
    facts = span.facts
    facts.node_type = text_of(own.get("node_type")) or facts.node_type
    facts.metadata = clean_values(object_of(own.get("metadata")))
    told = own.get("annotations")
    facts.annotations = [text_of(note) for note in told] if isinstance(told, list) else []
    if facts.node_type not in (NodeType.TOOL_CALL, NodeType.RETRIEVAL):
        facts.input_data = clean_values(object_of(own.get("input_data")))
    if "output_data" in own:
        facts.output_data = clean_values(object_of(own["output_data"]))
    span.span_id = id_of(own.get("id"), SPAN_DIGITS) or span.span_id
    span.parent_id = id_of(own.get("parent_id"), SPAN_DIGITS)
    edges = [
        {
            "source": edge.get("source"),
            "logtracer.edge.type": edge.get("type"),
            "logtracer.edge.label": edge.get("label"),
            "logtracer.edge.metadata": edge.get("metadata"),
        }
        for edge in objects_in(own.get("edges"), "edges")
    ]
    span.links = []
    span.own = {
        "logtracer.node.id": own.get("id"),
        "logtracer.node.parent_id": own.get("parent_id"),
        "logtracer.node.sequence_number": own.get("sequence_number"),
        "logtracer.edges": to_json(edges),
    }
