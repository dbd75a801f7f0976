#!/usr/bin/env bash
# langchain-core 1.8.3: an asynchronous model call that a time limit of the user's cuts off tells its
# callbacks that it started, and nothing more: neither on_llm_error nor on_llm_end is ever called.
#
# A callback handler that keeps open calls keeps this one for ever; a tracer shows it as running
# unless it ends what is open below a node that has ended. A call that fails does call on_llm_error.
#
# Seen with langchain-core 1.8.3 on Python 3.12, with the library's own fake model.
# Exits with another code than 0 when the library has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet langchain-core==1.8.3
cat > "$folder/program.py" <<'PYTHON'
import asyncio

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel


class Slow(GenericFakeChatModel):
    async def _agenerate(self, *arguments, **options):
        await asyncio.sleep(30)


class Failing(GenericFakeChatModel):
    async def _agenerate(self, *arguments, **options):
        raise RuntimeError("overloaded")


class Seen(AsyncCallbackHandler):
    def __init__(self):
        self.names = []

    async def on_chat_model_start(self, *arguments, **options):
        self.names.append("start")

    async def on_llm_error(self, *arguments, **options):
        self.names.append("error")

    async def on_llm_end(self, *arguments, **options):
        self.names.append("end")


async def call(model):
    seen = Seen()
    try:
        await asyncio.wait_for(model.ainvoke("hi", config={"callbacks": [seen]}), 0.2)
    except (asyncio.TimeoutError, RuntimeError) as error:
        print(type(error).__name__, seen.names)


async def main():
    await call(Failing(messages=iter([])))
    await call(Slow(messages=iter([])))


asyncio.run(main())
PYTHON
"$folder/environment/bin/python" "$folder/program.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
RuntimeError ['start', 'error']
TimeoutError ['start']
SEEN
echo "as described"
