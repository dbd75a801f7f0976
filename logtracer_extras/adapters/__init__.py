"""Adapters: they record what frameworks and SDKs do, without a change to the code that uses them.

    from logtracer_extras.adapters import openai

    openai.install()            # or: with openai.install(): ...
    ...
    openai.uninstall()

One module for each product, named after it; `all` installs those whose product is there. Nothing
is imported or patched before `install`. The modules whose names begin with `_` are shared parts.
"""

from __future__ import annotations

# What people call a product whose adapter has another name, for "did you mean"; in lower case and
# with underscores.
ALIASES = {
    "adk": "otel",
    "agents": "openai_agents",
    "aiohttp": "http",
    "anthropic_sdk": "anthropic",
    "autogen_agentchat": "autogen",
    "azure_openai": "openai",
    "claude": "anthropic",
    "crew": "crewai",
    "crew_ai": "crewai",
    "deepagents": "langchain",
    "fastmcp": "mcp",
    "google_adk": "otel",
    "httpx": "http",
    "langchain_core": "langchain",
    "langgraph": "langchain",
    "openai_agents_sdk": "openai_agents",
    "openai_sdk": "openai",
    "openai_swarm": "swarm",
    "opentelemetry": "otel",
    "phidata": "agno",
    "pydantic_ai": "otel",
    "requests": "http",
    "semantic_kernel": "otel",
    "strands": "otel",
}
