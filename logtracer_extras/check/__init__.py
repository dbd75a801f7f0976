"""Find what is wrong with runs that look successful, without a model to judge them.

    from logtracer import load_trace
    from logtracer_extras.check import check

    for finding in check(load_trace("traces/7f3a9c21.json")):
        print(finding.kind, finding.message, finding.evidence)

The same trace gives the same findings. Each file holds one family: `loops`, `results`, `answers`,
`claims`, `grounding`. `Watch` looks for the same while a run goes on;
`learn` finds what good runs have in common, `broken` what of it another run breaks.
"""

from __future__ import annotations

from .checking import KINDS, check
from .findings import Finding
from .law_tests import law_tests
from .laws import Law, LawError, broken, learn
from .watch import RunStopped, Watch

__all__ = [
    "KINDS",
    "Finding",
    "Law",
    "LawError",
    "RunStopped",
    "Watch",
    "broken",
    "check",
    "law_tests",
    "learn",
]
