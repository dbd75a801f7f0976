"""Adapters: they record what frameworks and SDKs do, without a change to the code that uses them.

    from logtracer_extras.adapters import openai

    openai.install()            # or: with openai.install(): ...
    ...
    openai.uninstall()

One module for each product, named after it; `all` installs those whose product is there. Nothing
is imported or patched before `install`. The modules whose names begin with `_` are shared parts.
"""
