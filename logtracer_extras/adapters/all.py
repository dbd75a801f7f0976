"""Install every adapter whose product is there.

logtracer.configure(auto_instrument=["all"])
"""

from __future__ import annotations

import importlib
import pkgutil

from ._installing import Adapter, quietly


def names() -> list[str]:
    """Return the names of all adapters, those whose product is missing too."""
    here = __name__.rpartition(".")[0]
    found = pkgutil.iter_modules(importlib.import_module(here).__path__)
    return [module.name for module in found if module.name[0] != "_" and module.name != "all"]


def _install_those_present(everything: Adapter) -> None:
    for name in names():
        with quietly(name):  # a version that an adapter does not know must not stop the others
            adapter: Adapter = importlib.import_module(f".{name}", __package__).ADAPTER
            if adapter.is_available():
                installation = adapter.install(
                    everything.tracer, opens_traces=everything.opens_traces
                )
                everything.on_uninstall(installation.close)


ADAPTER = Adapter("all", ("logtracer",), _install_those_present)
install = ADAPTER.install
uninstall = ADAPTER.uninstall
