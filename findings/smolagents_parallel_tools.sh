#!/usr/bin/env bash
# smolagents 1.26.0: a step keeps one text of observations for all tools that ran in it side by side,
# without saying which tool said what; and when a tool raises, the step's calls are an empty list.
#
# Whoever reads `agent.memory.get_full_steps()` cannot pair a result with its call: the texts are
# joined by a line break, which a result may hold itself. Of the failed call only the error remains.
#
# Seen with smolagents 1.26.0 on Python 3.12, with a model of a few lines in place of a real one.
# Exits with another code than 0 when the library has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet smolagents==1.26.0
cat > "$folder/program.py" <<'PYTHON'
from smolagents import ToolCallingAgent, tool
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)


@tool
def look_up(city: str) -> str:
    """Look up a city.

    Args:
        city: its name
    """
    return f"{city}: mild"


@tool
def reserve(city: str) -> str:
    """Reserve a room.

    Args:
        city: where
    """
    raise RuntimeError("no room left")


def call(number: int, name: str, **arguments: str) -> ChatMessageToolCall:
    function = ChatMessageToolCallFunction(name=name, arguments=arguments)
    return ChatMessageToolCall(id=f"call_{number}", type="function", function=function)


class Scripted(Model):
    answers = iter(
        [
            [call(1, "look_up", city="Paris"), call(2, "look_up", city="Rome")],
            [call(3, "reserve", city="Rome")],
            [call(4, "final_answer", answer="done")],
        ]
    )

    def generate(self, messages, **options):
        return ChatMessage(MessageRole.ASSISTANT, content="", tool_calls=next(self.answers))


agent = ToolCallingAgent(tools=[look_up, reserve], model=Scripted(), verbosity_level=0)
agent.run("Find a room")
_, both, failed, _ = agent.memory.get_full_steps()
print([each["id"] for each in both["tool_calls"]], repr(both["observations"]))
print(failed["tool_calls"], failed["observations"], failed["error"] is not None)
PYTHON
"$folder/environment/bin/python" "$folder/program.py" | tail -n 2 | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
['call_1', 'call_2'] 'Paris: mild\nRome: mild'
[] None True
SEEN
echo "as described"
