"""Record the calls of the Anthropic SDK, streams and helpers included.

    from logtracer_extras.adapters import anthropic

    anthropic.install()

Every message becomes a node below the current span. Input tokens include the cached ones, which
the API counts apart.
"""

from __future__ import annotations

from ._installing import Adapter
from ._sdk import connect_sdk

ADAPTER = Adapter(
    "anthropic", ("anthropic",), lambda adapter: connect_sdk(adapter, "anthropic", "anthropic")
)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
