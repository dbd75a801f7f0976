"""The names that other tracing tools give to the facts of an agent's run, in both directions.

`attributes_of` writes a node's facts under the OpenTelemetry GenAI and the OpenInference names
together, because each receiver reads one of the two. `facts_of` reads the attributes of anybody's
span: those names, their older spellings, and those of Traceloop, Langfuse, MLflow, Logfire and the
Vercel AI SDK. What it does not know stays in the metadata under its own name.
"""

from __future__ import annotations

from .messages import add_message_events, is_message_event
from .reading import Facts, facts_of
from .types import type_of
from .values import parse_json, to_json
from .writing import attributes_of

__all__ = [
    "Facts",
    "add_message_events",
    "attributes_of",
    "facts_of",
    "is_message_event",
    "parse_json",
    "to_json",
    "type_of",
]
