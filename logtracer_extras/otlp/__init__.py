"""Send traces to any OpenTelemetry receiver, or write them as OTLP files.

    from logtracer import Tracer
    from logtracer_extras.otlp import OTLPStore

    tracer = Tracer(storage=OTLPStore("http://localhost:4318"))

Each node becomes a span with the GenAI and the OpenInference attributes, each typed edge a span
link. `logtracer_extras.importers` reads such spans back whole. The standard `OTEL_...` variables
are honoured; arguments win over them. Nothing is read back from a receiver: to keep a copy, write
to several stores with `TeeStore`; to keep the network away from your code, wrap this one in
`BackgroundStore`.
"""

from __future__ import annotations

from .encoding import encode_requests
from .spans import spans_of
from .store import OTLPStore

__all__ = ["OTLPStore", "encode_requests", "spans_of"]
