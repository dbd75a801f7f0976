"""Record the calls of the OpenAI SDK (1.x, 2.x and 3.x), and of what is built on it.

    from logtracer_extras.adapters import openai

    openai.install()

Every chat completion, response, text completion and embedding becomes a node below the current
span; other requests (files, models, batches) are left alone. Clients made before are seen too.
"""

from __future__ import annotations

from ._installing import Adapter
from ._sdk import connect_sdk

ADAPTER = Adapter("openai", ("openai",), lambda adapter: connect_sdk(adapter, "openai", "openai"))
install = ADAPTER.install
uninstall = ADAPTER.uninstall
