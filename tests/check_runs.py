"""Runs of agents that look successful, half of which are; each knows what a check must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from logtracer import Node, TraceGraph
from logtracer_extras.testing import TraceBuilder


@dataclass(frozen=True)
class LabelledRun:
    """A run, what kind of agent made it, and the kinds of findings there are in it."""

    trace: TraceGraph
    story: str
    kinds: frozenset[str] = field(default_factory=frozenset)


_WORDS = """
river lantern copper meadow harbour granite violet thunder orchard saddle compass ribbon walnut
glacier pepper anchor velvet canyon timber beacon marble falcon prairie cobalt hollow summit breeze
"""
WORDS = _WORDS.split()


class Story:
    """Writes a run: model calls and tool calls in turns, like the loop of an agent."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.builder = TraceBuilder(random.choice(["coder", "assistant", "analyst"]))
        self.where: Node | None = self.builder.root
        self._tool_style = random.choice(["plain", "wrapped", "text"])

    def words(self, count: int) -> str:
        return " ".join(self.random.choice(WORDS) for _ in range(count))

    def ask(self, text: str) -> None:
        assert self.builder.root is not None
        self.builder.root.input_data = {"task": text}

    def think(self, text: str = "", **facts: Any) -> Node:
        output = {"text": text or f"Next I look at the {self.words(4)}."}
        read, wrote = self.random.randrange(500, 4_000), self.random.randrange(20, 300)
        return self.builder.node(
            "chat",
            "llm_call",
            parent=self.where,
            input={"messages": [{"role": "user", "content": f"{self.words(6)} {read}"}]},
            output=facts.pop("output", output),
            model="model-1",
            tokens=facts.pop("tokens", (read, wrote)),
            **facts,
        )

    def call(self, name: str, given: dict[str, Any], result: Any, **facts: Any) -> Node:
        if self.random.random() < 0.7 and not facts.pop("silent", False):
            self.think()
        facts.pop("silent", None)
        output = result if isinstance(result, dict) else {"return_value": result}
        if self._tool_style == "wrapped" and isinstance(result, dict):
            output = {"result": result}
        kind = facts.pop("node_type", "tool_call")
        return self.builder.node(name, kind, parent=self.where, input=given, output=output, **facts)

    def work(self, most: int = 3) -> None:
        """Look at a few things, as every agent does."""
        for _ in range(self.random.randrange(most + 1)):
            path = f"src/{self.random.choice(WORDS)}_{self.random.randrange(1000)}.py"
            self.call("read_file", {"path": path}, {"content": f"# {self.words(9)}"})

    def answer(self, text: str) -> None:
        self.think(text)
        if self.random.random() < 0.5 and self.builder.root is not None:
            self.builder.root.output_data = {"answer": text}


Teller = Callable[[Story], None]


# ---- Runs in which all is well -----------------------------------------------------------------


def edits_and_tests(story: Story) -> None:
    command = {"command": "pytest -q"}
    failed = {"exit_code": 1, "stdout": "2 failed, 14 passed in 0.31s"}
    for number in range(story.random.randrange(3, 7)):
        path = f"src/{story.random.choice(WORDS)}.py"
        story.call("edit_file", {"path": path, "new": story.words(5) + str(number)}, {"ok": True})
        story.call("bash", command, dict(failed))
    story.call("edit_file", {"path": "src/main.py", "new": story.words(9)}, {"ok": True})
    story.call("bash", command, {"exit_code": 0, "stdout": "16 passed in 0.29s"})
    story.answer("I fixed the parser. All tests pass now.")


def edits_that_return_nothing(story: Story) -> None:
    for number in range(story.random.randrange(3, 7)):
        story.call("edit_file", {"path": "src/main.py", "new": story.words(5)}, {})
        story.call("run_tests", {}, {"failed": 2, "text": f"2 failed in 0.{number}s"})
    story.answer("Two tests still fail.")


def polls_until_done(story: Story) -> None:
    job = {"job_id": story.random.randrange(1000)}
    story.call("start_job", {"name": story.words(2)}, job)
    for number in range(story.random.randrange(3, 9)):
        story.call("get_status", job, {"status": "running"}, silent=True)
        if number % 2:
            story.call("sleep", {"seconds": 5}, {"slept": True}, silent=True)
    story.call("get_status", job, {"status": "done", "rows": 120}, silent=True)
    story.answer("The job is done: 120 rows.")


def polls_an_empty_inbox(story: Story) -> None:
    for _ in range(story.random.randrange(3, 6)):
        story.call("list_messages", {"box": "in"}, {"messages": []}, silent=True)
    story.call("list_messages", {"box": "in"}, {"messages": [story.words(4)]}, silent=True)
    story.answer(f"A message came: {story.words(4)}.")


def reads_pages(story: Story) -> None:
    for page in range(story.random.randrange(4, 9)):
        story.call("list_orders", {"page": page}, {"orders": [page, story.words(2)]})
    story.answer("The orders are listed.")


def explores(story: Story) -> None:
    story.call("bash", {"command": "ls src/old"}, {"exit_code": 2, "stderr": "no such folder"})
    story.call("bash", {"command": "grep -rn parse src"}, {"exit_code": 1, "stdout": ""})
    story.call("bash", {"command": "ls src"}, {"exit_code": 0, "stdout": story.words(5)})
    story.work()
    for _ in range(3):
        story.call("read_file", {"path": f"src/{story.words(1)}.py"}, {"content": story.words(9)})
    story.answer("The parser lies in src.")


def retries_what_was_too_slow(story: Story) -> None:
    given = {"url": f"https://example.org/{story.random.choice(WORDS)}"}
    for _ in range(story.random.randrange(1, 4)):
        story.call("fetch", given, {"error": "503 temporarily unavailable"}, silent=True)
    story.call("fetch", given, {"status": 200, "body": story.words(8)}, silent=True)
    story.answer("The page is there.")


def answers_from_what_it_found(story: Story) -> None:
    text = story.words(14)
    given = {"query": f"what about {story.words(2)}"}
    story.call("retrieve", given, {"documents": [{"text": text}]}, node_type="retrieval")
    story.answer(f"It says: {' '.join(text.split()[3:9])}, and {story.words(3)}.")


def owns_up(story: Story) -> None:
    story.call("deploy", {"target": "staging"}, {"exit_code": 1, "stderr": "quota exceeded"})
    story.answer("The deployment failed: the quota is exceeded. I did not try again.")


def finds_nothing(story: Story) -> None:
    found = {"documents": [{"text": story.words(12)}]}
    story.call("search_docs", {"query": story.words(2)}, found, node_type="retrieval")
    story.answer("I could not find anything about that subject among everything available today.")


def reads_a_log(story: Story) -> None:
    text = f"12:00:01 start\n12:00:02 Error: {story.words(3)}\n" + story.words(30)
    story.call("read_file", {"path": "logs/app.log"}, {"content": text})
    story.answer(f"The log shows one line about {story.words(2)}.")


def gives_advice(story: Story) -> None:
    story.work()
    story.answer(
        "Once you run them, all tests should pass. If tests pass, you can deploy. I have not sent "
        "an email, and main.py was not written yet. Make sure the tests pass before you merge."
    )


def classifies(story: Story) -> None:
    for _ in range(story.random.randrange(2, 5)):
        facts = {"gen_ai.response.finish_reasons": ["length"], "gen_ai.request.max_tokens": 1}
        story.think("yes", metadata=facts)
    story.answer("Two of them are spam.")


def asks_at_once(story: Story) -> None:
    for number in range(4):
        story.builder.node(
            "vote",
            "tool_call",
            start=0.0,
            end=1.0,
            input={"question": "best?"},
            output={"vote": "a"},
            metadata={"lane": f"vote#{number}"},
        )
    story.answer("They all chose a.")


def writes_a_file(story: Story) -> None:
    name = f"{story.random.choice(WORDS)}.md"
    story.work()
    story.call("write_file", {"path": f"docs/{name}", "text": story.words(20)}, {"ok": True})
    story.call("send_email", {"to": "a@example.org", "text": story.words(5)}, {"id": "m1"})
    story.answer(f"I wrote docs/{name} and sent the email.")


def goes_on_when_cut_off(story: Story) -> None:
    story.think(story.words(30), metadata={"gen_ai.response.finish_reasons": ["max_tokens"]})
    following = story.think(story.words(10))
    following.input_data = {"messages": [{"role": "user", "content": "continue"}]}
    story.answer("That is the whole text.")


def hands_to_agents(story: Story) -> None:
    for name in ("researcher", "writer"):
        agent = story.builder.node(name, "sub_agent")
        story.where = agent
        story.call("search", {"query": "bees"}, {"hits": ["bees see ultraviolet light"]})
        story.work()
    story.where = story.builder.root
    story.answer("Bees see ultraviolet light, both of them say.")


def checks_twice(story: Story) -> None:
    story.call("bash", {"command": "git status"}, {"exit_code": 0, "stdout": "clean"})
    story.work()
    story.call("write_file", {"path": "src/a.py", "text": story.words(9)}, {"ok": True})
    story.call("bash", {"command": "git status"}, {"exit_code": 0, "stdout": "1 file changed"})
    story.call("bash", {"command": "pytest"}, {"exit_code": 0, "stdout": "9 passed in 1.2s"})
    story.call("bash", {"command": "pytest"}, {"exit_code": 0, "stdout": "9 passed in 1.4s"})
    story.answer("I updated src/a.py. 9 tests pass, with no errors.")


CLEAN: tuple[Teller, ...] = (
    edits_and_tests,
    edits_that_return_nothing,
    polls_until_done,
    polls_an_empty_inbox,
    reads_pages,
    explores,
    retries_what_was_too_slow,
    answers_from_what_it_found,
    owns_up,
    finds_nothing,
    reads_a_log,
    gives_advice,
    classifies,
    asks_at_once,
    writes_a_file,
    goes_on_when_cut_off,
    hands_to_agents,
    checks_twice,
)

# ---- Runs in which something is wrong ----------------------------------------------------------


def repeated_call(story: Story) -> None:
    given = {"query": story.words(3), "id": 1}
    for number in range(story.random.randrange(3, 8)):
        story.call("search_orders", {**given, "id": number}, {"hits": [1, 2]})
    story.answer("There are two orders.")


def alternation(story: Story) -> None:
    for _ in range(story.random.randrange(3, 6)):
        story.call("open_file", {"path": "a.py"}, {"text": "import b"})
        story.call("list_folder", {"path": "."}, {"files": ["a.py", "b.py"]})
    story.answer("The file imports b.")


def no_progress(story: Story) -> None:
    paths = [f"{word}.py" for word in story.random.sample(WORDS, 4)]
    for path in paths:
        story.call("open_file", {"path": path}, {"text": path * 3})
    for _ in range(12):
        path = story.random.choice(paths)
        story.call("open_file", {"path": path}, {"text": path * 3})
    story.answer("They are all alike.")


def retry_unchanged(story: Story) -> None:
    given = {"table": story.random.choice(WORDS)}
    error = story.random.choice(["404 not found", "unknown column 'day'", "permission denied"])
    is_told = story.random.random() < 0.5
    for _ in range(story.random.randrange(2, 5)):
        if is_told:
            story.call("query", given, {"error": error}, silent=True)
        else:
            story.call("query", given, {}, error=error, error_type="QueryError", silent=True)
    story.work()
    story.answer("The table could not be read.")


def waiting(story: Story) -> None:
    job = {"job_id": story.random.randrange(1000)}
    story.call("start_job", {"name": story.words(2)}, job)
    for _ in range(story.random.randrange(3, 9)):
        story.call("get_status", job, {"status": "running"}, silent=True)
        story.call("sleep", {"seconds": 5}, {"slept": True}, silent=True)
    story.answer("The export is complete, here it is.")


def hidden_error(story: Story) -> None:
    results: list[Any] = [
        {"exit_code": 2, "stderr": "disk full"},
        {"status_code": 500, "body": "oops"},
        {"isError": True, "content": [{"type": "text", "text": "quota exceeded"}]},
        "Error: the address is unknown",
        "Traceback (most recent call last):\n  ...\nKeyError: 'name'",
        {"success": False, "reason": "locked"},
        {"error": {"code": 17, "message": "duplicate"}},
    ]
    name = story.random.choice(["create_invoice", "upload", "update_record", "send_report"])
    story.call(name, {"name": story.words(1)}, story.random.choice(results))
    story.work()
    story.answer("All is set, and the customer knows.")


def truncated(story: Story) -> None:
    reason = story.random.choice(["length", "max_tokens", "MAX_TOKENS"])
    story.work()
    story.think(story.words(40), metadata={"gen_ai.response.finish_reasons": [reason]})


def empty_answer(story: Story) -> None:
    story.work()
    empty: list[dict[str, Any]] = [
        {"text": ""},
        {"messages": [{"role": "assistant", "content": ""}]},
        {"content": "  "},
    ]
    story.think(output=story.random.choice(empty))


def refusal(story: Story) -> None:
    story.work()
    story.think(
        story.random.choice(
            [
                "I'm sorry, but I can't help with that.",
                "I cannot assist with this request.",
                "I am unable to provide that. Ask somebody else.",
                "I\u2019m sorry, I won\u2019t continue with this.",
            ]
        )
    )


def context_limit(story: Story) -> None:
    if story.random.random() < 0.5:
        story.think(tokens=(99_000, 100))
    else:
        error = "prompt is too long: 210000 tokens > 200000 maximum"
        story.think(error=error, error_type="BadRequest", output={})
    story.answer("The summary is short.")


def claimed_tests(story: Story) -> None:
    story.call("edit_file", {"path": "src/a.py", "new": story.words(5)}, {"ok": True})
    if story.random.random() < 0.4:
        story.call("bash", {"command": "pytest"}, {"exit_code": 1, "stdout": "3 failed in 2.0s"})
    story.answer(
        story.random.choice(
            ["Done. All tests pass.", "The tests are passing, so you can merge.", "Tests passed."]
        )
    )


def claimed_file(story: Story) -> None:
    story.work()
    claim = story.random.choice(["I wrote the results to", "I have created", "Saved it as"])
    story.answer(f"{claim} reports/{story.random.choice(WORDS)}.csv.")


def claimed_message(story: Story) -> None:
    story.work()
    story.answer(
        story.random.choice(["I sent the email to Ada.", "The notification has been sent."])
    )


def claimed_commit(story: Story) -> None:
    story.call("edit_file", {"path": "src/a.py", "new": story.words(5)}, {"ok": True})
    story.answer("I've committed the change.")


def claimed_deploy(story: Story) -> None:
    story.work()
    story.answer("The service was deployed a minute ago.")


def claimed_search(story: Story) -> None:
    story.think()
    story.answer("I searched the web and the tallest tower is in Dubai.")


def unused_retrieval(story: Story) -> None:
    story.ask("how do bees see")
    text = "photoreceptors absorb ultraviolet wavelengths strongest near 344 nanometres in workers"
    given = {"query": "how do bees see"}
    story.call("retrieve", given, {"documents": [{"text": text}]}, node_type="retrieval")
    story.answer("Honey keeps fresh forever, because sugar draws moisture from every microbe.")


FAULTY: tuple[Teller, ...] = (
    repeated_call,
    alternation,
    no_progress,
    retry_unchanged,
    waiting,
    hidden_error,
    truncated,
    empty_answer,
    refusal,
    context_limit,
    claimed_tests,
    claimed_file,
    claimed_message,
    claimed_commit,
    claimed_deploy,
    claimed_search,
    unused_retrieval,
)

CONTEXT_WINDOWS = {"model-*": 100_000}


def labelled_runs(count: int = 200, seed: int = 1) -> list[LabelledRun]:
    """Return that many runs, every second of them clean; the same seed gives the same runs."""
    runs = []
    for number in range(count):
        tellers = FAULTY if number % 2 else CLEAN
        teller = tellers[number // 2 % len(tellers)]
        story = Story(Random(f"{seed}/{number}"))
        if teller not in (asks_at_once, hands_to_agents):
            story.work()
        teller(story)
        kinds = {teller.__name__} if number % 2 else set()
        runs.append(LabelledRun(story.builder.trace, teller.__name__, frozenset(kinds)))
    return runs
