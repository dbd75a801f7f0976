"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a run that a status of completed does not tell.

    `nodes` are ids, in the order they started. `tokens` and `cost` are what was spent to no end;
    `cost` is None without prices. `evidence` is the text that shows it.
    """

    kind: str
    nodes: tuple[str, ...]
    message: str
    evidence: str = ""
    tokens: int = 0
    cost: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "kind": self.kind,
            "nodes": list(self.nodes),
            "message": self.message,
            "evidence": self.evidence,
            "tokens": self.tokens,
            "cost": self.cost,
        }
