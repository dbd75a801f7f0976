"""What was answered is what is kept: every part of an answer, in its order, whole or streamed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from adapters.products import product
from adapters.trees import only_call, tree
from adapters.wire import (
    ask_anthropic,
    ask_chat,
    call_piece,
    chunk,
    completion,
    message,
    message_events,
    response,
    sdk_client,
    text_item,
)
from logtracer import Node, Tracer
from logtracer_extras.adapters import anthropic, openai

product("openai")
product("anthropic")


def kept(sdk: str, ask: Any, *answers: Any, **settings: Any) -> Node:
    """Return the node of one call with these answers."""
    adapter = openai if sdk == "openai" else anthropic
    tracer = Tracer()
    client = sdk_client(sdk, *answers, **settings)
    with ExitStack() as stack:
        stack.enter_context(adapter.install(tracer))
        root = stack.enter_context(tracer.trace("run"))
        stack.enter_context(client)
        ask(client)
    return only_call(root.trace)


def chat(*answers: Any, **request: Any) -> Node:
    return kept("openai", lambda client: ask_chat(client, **request), *answers)


def chat_stream(*chunks: Any) -> Node:
    def ask(client: Any) -> None:
        list(ask_chat(client, stream=True))

    return kept("openai", ask, list(chunks))


def respond(*answers: Any, **request: Any) -> Node:
    asked = {"model": "m", "input": "hello", **request}
    return kept("openai", lambda client: client.responses.create(**asked), *answers)


def respond_stream(*events: Any, **request: Any) -> Node:
    def ask(client: Any) -> None:
        list(client.responses.create(model="m", input="hello", stream=True, **request))

    return kept("openai", ask, list(events))


def converse(*blocks: Any, **more: Any) -> Node:
    return kept("anthropic", ask_anthropic, message(*blocks, **more))


def converse_stream(*events: Any) -> Node:
    def ask(client: Any) -> None:
        list(ask_anthropic(client, stream=True))

    return kept("anthropic", ask, list(events))


def calls_of(node: Node) -> list[tuple[Any, Any, Any]]:
    """Return id, name and arguments of the tool calls that a node kept."""
    calls = node.output_data["message"]["tool_calls"]
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


# ---- What was not given is not recorded ----------------------------------------------------------


def test_what_was_not_given_is_no_fact() -> None:
    node = converse({"type": "text", "text": "hi"})
    asked = [name for name in node.metadata if name.startswith("gen_ai.request.")]
    assert asked == ["gen_ai.request.model", "gen_ai.request.max_tokens"]


def test_what_was_not_given_is_no_part_of_what_was_either() -> None:
    not_given = product("anthropic").NOT_GIVEN
    tool = {"name": "t", "input_schema": {}, "cache_control": not_given}
    said = [{"role": "user", "content": [{"type": "text", "text": "hi", "citations": not_given}]}]

    def ask(client: Any) -> None:
        client.messages.create(model="m", max_tokens=9, messages=said, tools=[tool])

    node = kept("anthropic", ask, message({"type": "text", "text": "hi"}))
    assert node.input_data["tools"] == [{"name": "t", "input_schema": {}}]
    assert node.input_data["messages"][0]["content"] == [{"type": "text", "text": "hi"}]


def test_through_beta_it_is_the_same() -> None:
    def ask(client: Any) -> None:
        said = [{"role": "user", "content": "hello"}]
        client.beta.messages.create(model="m", max_tokens=9, messages=said)

    node = kept("anthropic", ask, message({"type": "text", "text": "hi"}))
    assert "NON-SERIALIZABLE" not in str(node.metadata)
    assert "REDACTED" not in str(node.metadata)


# ---- Tool calls that come in pieces --------------------------------------------------------------

PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'


def called(name: str, arguments: str = "") -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


TWO = [("a", "get_weather", PARIS), ("b", "get_weather", ROME)]
SAME_NAME = called("get_weather", PARIS), called("get_weather", ROME)
PIECES: list[tuple[list[dict[str, Any]], list[tuple[Any, Any, Any]]]] = [
    # all at place 0, with ids of their own
    ([{"index": 0, "id": i, "function": f} for i, f in zip("ab", SAME_NAME)], TWO),
    # no place at all
    ([{"id": i, "function": f} for i, f in zip("ab", SAME_NAME)], TWO),
    # neither place nor id
    ([{"function": f} for f in SAME_NAME], [(None, *TWO[0][1:]), (None, *TWO[1][1:])]),
    # as OpenAI sends them: taking turns, by place
    (
        [
            {"index": 0, "id": "a", "function": called("get_weather")},
            {"index": 1, "id": "b", "function": called("get_weather")},
            {"index": 0, "function": {"arguments": PARIS[:5]}},
            {"index": 1, "function": {"arguments": ROME[:5]}},
            {"index": 0, "function": {"arguments": PARIS[5:]}},
            {"index": 1, "function": {"arguments": ROME[5:]}},
        ],
        TWO,
    ),
    # the name and the id in every piece
    (
        [
            {"index": 0, "id": "a", "function": called("get_weather", PARIS[:5])},
            {"index": 0, "id": "a", "function": called("get_weather", PARIS[5:])},
            {"index": 0, "id": "a", "function": called("get_weather")},
        ],
        TWO[:1],
    ),
    # the name alone in every piece
    (
        [
            {"index": 0, "id": "a", "function": called("get_weather", PARIS[:5])},
            {"index": 0, "function": called("get_weather", PARIS[5:])},
            {"index": 0, "function": called("get_weather")},
        ],
        TWO[:1],
    ),
    # the name in pieces
    (
        [
            {"index": 0, "id": "a", "function": called("get_")},
            {"index": 0, "function": called("weather")},
            {"index": 0, "function": {"arguments": PARIS}},
        ],
        TWO[:1],
    ),
]


@pytest.mark.parametrize(("pieces", "expected"), PIECES)
def test_tool_calls_are_put_together_however_they_are_sent(
    pieces: list[dict[str, Any]], expected: list[tuple[Any, Any, Any]]
) -> None:
    chunks = [chunk(call_piece(type="function", **piece)) for piece in pieces]
    assert calls_of(chat_stream(*chunks, chunk(finish="tool_calls"))) == expected


CUSTOM = {"name": "run_code", "input": "print(1)"}


def test_a_custom_tool_keeps_its_name_and_its_input() -> None:
    call = {"id": "a", "type": "custom", "custom": CUSTOM}
    node = chat(completion({"tool_calls": [call]}))
    assert calls_of(node) == [("a", "run_code", "print(1)")]
    assert node.output_data["message"]["tool_calls"][0]["type"] == "custom"


def test_a_streamed_custom_tool_keeps_its_name_and_its_input() -> None:
    first = call_piece(
        index=0, id="a", type="custom", custom={"name": "run_code", "input": "print"}
    )
    rest = call_piece(index=0, custom={"input": "(1)"})
    node = chat_stream(chunk(first), chunk(rest), chunk(finish="tool_calls"))
    assert calls_of(node) == [("a", "run_code", "print(1)")]
    assert node.output_data["message"]["tool_calls"][0]["type"] == "custom"


# ---- The rest of a chat message --------------------------------------------------------------

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://example.org/", "title": "t"}}
OLD_CALL = {"name": "get_weather", "arguments": PARIS}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("refusal", "I cannot."),
        ("function_call", OLD_CALL),
        ("images", [IMAGE]),
        ("annotations", [SOURCE]),
        ("reasoning_details", [{"type": "reasoning.text", "text": "hm"}]),
    ],
)
def test_every_part_of_a_message_is_kept_whole_or_streamed(name: str, value: Any) -> None:
    whole = chat(completion({name: value})).output_data["message"]
    streamed = chat_stream(chunk({name: value}), chunk(finish="stop")).output_data["message"]
    assert whole[name] == value
    assert streamed == whole


def test_a_refusal_in_pieces_is_put_together() -> None:
    node = chat_stream(
        chunk({"refusal": "I "}), chunk({"refusal": "cannot."}), chunk(finish="stop")
    )
    assert node.output_data["message"]["refusal"] == "I cannot."


def test_a_call_of_the_older_form_in_pieces_is_put_together() -> None:
    pieces = [called("get_weather"), {"arguments": PARIS[:5]}, {"arguments": PARIS[5:]}]
    chunks = [chunk({"function_call": piece}) for piece in pieces]
    node = chat_stream(*chunks, chunk(finish="function_call"))
    assert node.output_data["message"]["function_call"] == OLD_CALL


def test_spoken_words_are_kept_and_of_the_sound_its_size() -> None:
    audio = {"id": "au_1", "data": "A" * 4_000, "transcript": "Hello.", "expires_at": 1}
    spoken = chat(completion({"audio": audio})).output_data["message"]["audio"]
    assert spoken["transcript"] == "Hello."
    assert len(str(spoken)) < 200
    pieces = [{"id": "au_1", "transcript": "Hel"}, {"transcript": "lo."}, {"data": "A" * 4_000}]
    chunks = [chunk({"audio": piece}) for piece in pieces]
    node = chat_stream(*chunks, chunk(finish="stop"))
    assert node.output_data["message"]["audio"]["transcript"] == "Hello."


# ---- Items of responses --------------------------------------------------------------------------

SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "weather"},
}
MCP = {
    "type": "mcp_call",
    "id": "mcp_1",
    "name": "get_weather",
    "arguments": PARIS,
    "output": "21",
    "server_label": "weather",
}
ITEMS = [
    SEARCH,
    MCP,
    {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", **CUSTOM},
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aaaa"},
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "code": "print(1)",
        "container_id": "cn_1",
        "status": "completed",
        "outputs": [{"type": "logs", "logs": "1"}],
    },
    {
        "type": "file_search_call",
        "id": "fs_1",
        "queries": ["weather"],
        "status": "completed",
        "results": [{"file_id": "f1", "text": "21"}],
    },
    {"type": "mcp_list_tools", "id": "ml_1", "server_label": "weather", "tools": []},
    {"type": "a_kind_nobody_knows", "id": "x_1", "value": 3},
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: str(item["type"]))
def test_every_item_of_a_response_is_kept_whole_or_streamed(item: dict[str, Any]) -> None:
    whole = respond(response(item)).output_data["message"]
    assert whole["content"] == [item]
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    done = {**added, "type": "response.output_item.done"}
    streamed = respond_stream(added, done).output_data["message"]
    assert streamed["content"] == [item]


def test_items_keep_their_order() -> None:
    node = respond(response(text_item("First."), SEARCH, text_item("Then.")))
    kinds = [part["type"] for part in node.output_data["message"]["content"]]
    assert kinds == ["output_text", "web_search_call", "output_text"]


def test_calls_of_the_providers_own_tools_are_tool_calls_with_their_results() -> None:
    calls = respond(response(SEARCH, MCP)).output_data["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["web_search", "get_weather"]
    assert calls[0]["function"]["arguments"] == {"action": SEARCH["action"]}
    assert (calls[1]["function"]["arguments"], calls[1]["output"]) == (PARIS, "21")


def test_a_custom_tool_call_is_one_that_the_host_answers() -> None:
    item = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", **CUSTOM}
    assert calls_of(respond(response(item))) == [("call_1", "run_code", "print(1)")]


def test_text_with_thoughts_and_calls_stays_a_plain_message() -> None:
    thought = {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "hm"}]}
    call = {"type": "function_call", "id": "f1", "call_id": "c1", **called("get_weather", PARIS)}
    node = respond(response(thought, text_item("Let me see."), call))
    said = node.output_data["message"]
    assert (said["content"], said["reasoning"]) == ("Let me see.", "hm")
    assert calls_of(node) == [("c1", "get_weather", PARIS)]


def test_sources_of_a_text_are_kept() -> None:
    source = {"type": "url_citation", "url": "https://example.org/", "title": "t"}
    node = respond(response(text_item("Sunny.", annotations=[source])))
    (part,) = node.output_data["message"]["content"]
    assert (part["text"], part["annotations"]) == ("Sunny.", [source])


CALL = {"type": "function_call", "id": "f1", "call_id": "c1", **called("get_weather", PARIS)}


def test_a_stream_of_responses_that_is_left_keeps_the_calls_it_had() -> None:
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": CALL},
        {"type": "response.output_item.done", "output_index": 0, "item": CALL},
        {"type": "response.completed", "response": response(CALL)},
    ]

    def ask(client: Any) -> None:
        with client.responses.create(model="m", input="hello", stream=True) as stream:
            next(stream)
            next(stream)

    node = kept("openai", ask, events)
    assert calls_of(node) == [("c1", "get_weather", PARIS)]


def test_pieces_of_responses_that_never_ended_are_put_together() -> None:
    empty = {**CALL, "arguments": ""}
    kind = "response.function_call_arguments.delta"
    node = respond_stream(
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Let "},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "me."},
        {"type": "response.output_item.added", "output_index": 1, "item": empty},
        {"type": kind, "output_index": 1, "delta": PARIS[:5]},
        {"type": kind, "output_index": 1, "delta": PARIS[5:]},
    )
    assert node.output_data["message"]["content"] == "Let me."
    assert calls_of(node) == [("c1", "get_weather", PARIS)]


def test_a_request_by_a_stored_prompt_keeps_it() -> None:
    prompt = {"id": "pmpt_1", "version": "2", "variables": {"city": "Paris"}}
    node = kept(
        "openai",
        lambda client: client.responses.create(model="m", prompt=prompt),
        response(text_item("21")),
    )
    assert node.input_data["prompt"] == prompt


def test_a_response_in_the_background_is_the_one_that_is_fetched_later() -> None:
    queued = response(status="queued", background=True)
    details = {"input_tokens_details": {"cached_tokens": 0}}
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10, **details}
    done = response(text_item("Done."), background=True, usage=usage)

    def ask(client: Any) -> None:
        made = client.responses.create(model="m", input="hello", background=True)
        client.responses.retrieve(made.id)
        client.responses.retrieve(made.id)
        client.responses.retrieve(made.id)

    node = kept("openai", ask, queued, {**queued, "status": "in_progress"}, done, done)
    assert node.status == "completed"
    assert node.output_data["message"]["content"] == "Done."
    assert node.metadata["gen_ai.usage.input_tokens"] == 7
    assert node.metadata["gen_ai.response.finish_reasons"] == ["completed"]


def test_a_response_in_the_background_may_be_cancelled() -> None:
    queued = response(status="queued", background=True)

    def ask(client: Any) -> None:
        client.responses.cancel(client.responses.create(model="m", input="x", background=True).id)

    assert kept("openai", ask, queued, {**queued, "status": "cancelled"}).status == "cancelled"


# ---- Blocks of Anthropic's messages --------------------------------------------------------------

BLOCKS: list[dict[str, Any]] = [
    {"type": "redacted_thinking", "data": "aaaa"},
    {"type": "container_upload", "file_id": "file_1"},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "s1",
        "content": [
            {
                "type": "web_search_result",
                "url": "https://example.org/",
                "title": "t",
                "encrypted_content": "a",
            }
        ],
    },
    {
        "type": "mcp_tool_result",
        "tool_use_id": "s1",
        "is_error": False,
        "content": [{"type": "text", "text": "21"}],
    },
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block["type"]))
def test_every_block_of_a_message_is_kept_whole_or_streamed(block: dict[str, Any]) -> None:
    assert converse(block).output_data["message"]["content"] == [block]
    streamed = converse_stream(*message_events((block, [])))
    assert streamed.output_data["message"]["content"] == [block]


def test_blocks_keep_their_order() -> None:
    tool = {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Paris"}}
    node = converse({"type": "text", "text": "A"}, tool, {"type": "text", "text": "B"})
    parts = node.output_data["message"]["content"]
    assert [part["type"] for part in parts] == ["text", "tool_use", "text"]
    assert calls_of(node) == [("t1", "get_weather", {"city": "Paris"})]


def test_sources_of_a_block_are_kept_whole_or_streamed() -> None:
    source = {
        "type": "char_location",
        "cited_text": "sun",
        "document_index": 0,
        "start_char_index": 0,
        "end_char_index": 3,
    }
    whole = converse({"type": "text", "text": "Sunny.", "citations": [source]})
    (part,) = whole.output_data["message"]["content"]
    assert part["citations"] == [source]
    deltas: list[dict[str, Any]] = [
        {"type": "text_delta", "text": "Sunny."},
        {"type": "citations_delta", "citation": source},
    ]
    streamed = converse_stream(*message_events(({"type": "text", "text": ""}, deltas)))
    (part,) = streamed.output_data["message"]["content"]
    assert (part["text"], part["citations"]) == ("Sunny.", [source])


def test_thought_text_and_call_stay_a_plain_message() -> None:
    blocks = (
        ({"type": "thinking", "thinking": "", "signature": ""}, [
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "sig"},
        ]),
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Let me see."}]),
        ({"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}, [
            {"type": "input_json_delta", "partial_json": PARIS},
        ]),
    )  # fmt: skip
    node = converse_stream(*message_events(*blocks))
    said = node.output_data["message"]
    assert (said["content"], said["reasoning"]) == ("Let me see.", "hm")
    assert calls_of(node) == [("t1", "get_weather", PARIS)]


# ---- Failures that are told by an answer ---------------------------------------------------------

BROKEN = {"code": "server_error", "message": "model exploded"}


@pytest.mark.parametrize(
    "answer", [response(status="failed", error=BROKEN), {"error": {**BROKEN, "code": 502}}]
)
def test_a_response_that_failed_is_a_failed_call(answer: dict[str, Any]) -> None:
    node = respond(answer)
    assert (node.status, node.error) == ("failed", "model exploded")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": response(status="failed", error=BROKEN)},
        {"type": "error", "sequence_number": 1, "param": None, **BROKEN},
    ],
)
def test_a_stream_that_says_it_failed_is_a_failed_call(event: dict[str, Any]) -> None:
    piece = {"type": "response.output_text.delta", "output_index": 0, "delta": "Let "}
    node = respond_stream(piece, event)
    assert (node.status, node.error, node.error_type) == (
        "failed",
        "model exploded",
        "server_error",
    )


def test_an_error_instead_of_an_answer_is_a_failed_call() -> None:
    node = chat({"error": {"message": "provider broke", "code": 502}})
    assert (node.status, node.error) == ("failed", "provider broke")


def test_an_error_in_a_choice_is_a_failed_call() -> None:
    answer = completion({"content": "Hel"})
    answer["choices"][0].update(error={"message": "provider broke"}, finish_reason="error")
    node = chat(answer)
    assert (node.status, node.error) == ("failed", "provider broke")
    assert node.output_data["message"]["content"] == "Hel"


def test_an_error_instead_of_a_message_is_a_failed_call() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    node = kept("anthropic", ask_anthropic, {"type": "error", "error": error})
    assert (node.status, node.error, node.error_type) == (
        "failed",
        "Overloaded",
        "overloaded_error",
    )


def test_an_incomplete_response_is_no_failure() -> None:
    details = {"reason": "max_output_tokens"}
    node = respond(response(text_item("Hel"), status="incomplete", incomplete_details=details))
    assert node.status == "completed"
    assert node.metadata["gen_ai.response.finish_reasons"] == ["max_output_tokens"]


def test_a_stream_that_stops_without_an_end_says_so() -> None:
    started = message_events(({"type": "text", "text": ""}, []))[:2]
    piece = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"}
    for node in (chat_stream(chunk({"content": "Hel"})), respond_stream(piece)):
        assert node.metadata["stream.cut_short"] is True
        assert "cut short" in node.annotations[0]
        assert node.output_data["message"]["content"] == "Hel"
    assert converse_stream(*started).metadata["stream.cut_short"] is True


def test_a_stream_that_ends_well_says_nothing() -> None:
    ended = [
        chat_stream(chunk({"content": "Hi"}), chunk(finish="stop")),
        respond_stream({"type": "response.completed", "response": response(text_item("Hi"))}),
        converse_stream(*message_events(({"type": "text", "text": "Hi"}, []))),
    ]
    assert [node.annotations for node in ended] == [[], [], []]
    assert not any("stream.cut_short" in node.metadata for node in ended)


# ---- Tokens --------------------------------------------------------------------------------------

USAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"prompt_tokens": 1_000, "completion_tokens": 5, "prompt_cache_hit_tokens": 900},
        {"cache_read.input_tokens": 900},
    ),
    (
        {"prompt_tokens": 1_000, "completion_tokens": 5, "cached_tokens": 900},
        {"cache_read.input_tokens": 900},
    ),
    (
        {
            "prompt_tokens": 1_000,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cache_write_tokens": 400, "cached_tokens": 100},
        },
        {"cache_creation.input_tokens": 400, "cache_read.input_tokens": 100, "input_tokens": 1_000},
    ),
    (
        {
            "prompt_tokens": 32,
            "completion_tokens": 2_000,
            "total_tokens": 2_126,
            "completion_tokens_details": {"reasoning_tokens": 94},
        },
        {"output_tokens": 2_094, "reasoning.output_tokens": 94},
    ),
    (
        {
            "prompt_tokens": 32,
            "completion_tokens": 2_000,
            "total_tokens": 2_032,
            "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 7},
            "prompt_tokens_details": {"audio_tokens": 3},
        },
        {"output_tokens": 2_000, "audio.output_tokens": 7, "audio.input_tokens": 3},
    ),
    ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.25}, {"cost": 0.25}),
]


@pytest.mark.parametrize(("usage", "expected"), USAGES)
def test_tokens_of_every_provider_have_the_same_names(
    usage: dict[str, Any], expected: dict[str, Any]
) -> None:
    usage = {"total_tokens": 0, **usage}
    for node in (
        chat(completion({"content": "hi"}, usage=usage)),
        chat_stream(chunk({"content": "hi"}, "stop"), chunk(usage=usage)),
    ):
        assert {name: node.metadata[f"gen_ai.usage.{name}"] for name in expected} == expected


def test_cache_writes_of_responses_are_counted() -> None:
    usage = {
        "input_tokens": 1_000,
        "output_tokens": 5,
        "total_tokens": 1_005,
        "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 400},
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    facts = respond(response(text_item("hi"), usage=usage)).metadata
    assert facts["gen_ai.usage.cache_creation.input_tokens"] == 400
    assert facts["gen_ai.usage.cache_read.input_tokens"] == 100
    assert facts["gen_ai.usage.reasoning.output_tokens"] == 3


def test_the_usage_of_a_message_is_kept_in_all_its_parts() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 1_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
        "output_tokens_details": {"thinking_tokens": 8},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        "service_tier": "priority",
    }
    facts = converse({"type": "text", "text": "hi"}, usage=usage).metadata
    name = "gen_ai.usage."
    assert facts[f"{name}input_tokens"] == 1_130
    assert facts[f"{name}cache_creation.input_tokens"] == 1_000
    assert facts[f"{name}cache_creation.ephemeral_5m_input_tokens"] == 600
    assert facts[f"{name}cache_creation.ephemeral_1h_input_tokens"] == 400
    assert facts[f"{name}reasoning.output_tokens"] == 8
    assert facts[f"{name}web_search_requests"] == 2
    assert facts["gen_ai.response.service_tier"] == "priority"


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ({"input_tokens": 150}, {"input_tokens": 0}, 150),
        ({"input_tokens": 150}, {}, 150),
        ({"input_tokens": 150}, {"input_tokens": None}, 150),
        ({"input_tokens": 1}, {"input_tokens": 150}, 150),
        ({"input_tokens": 100, "cache_read_input_tokens": 6}, {"cache_read_input_tokens": 0}, 106),
        ({"input_tokens": 100}, {"cache_read_input_tokens": 206}, 306),
    ],
)
def test_counts_of_a_streams_end_that_say_nothing_change_nothing(
    first: dict[str, Any], last: dict[str, Any], expected: int
) -> None:
    began, ended = {"output_tokens": 1, **first}, {"output_tokens": 20, **last}
    block: tuple[dict[str, Any], list[Any]] = ({"type": "text", "text": "hi"}, [])
    facts = converse_stream(*message_events(block, usage=began, last_usage=ended)).metadata
    assert facts["gen_ai.usage.input_tokens"] == expected
    assert facts["gen_ai.usage.output_tokens"] == 20


def test_the_tier_that_served_is_kept_beside_the_one_asked_for() -> None:
    asked = {"service_tier": "auto"}
    nodes = [
        chat(completion({"content": "hi"}, service_tier="flex"), **asked),
        respond(response(text_item("hi"), service_tier="flex"), **asked),
    ]
    for node in nodes:
        assert node.metadata["gen_ai.request.service_tier"] == "auto"
        assert node.metadata["gen_ai.response.service_tier"] == "flex"


# ---- Who served, which request, what is no model call --------------------------------------------


def test_streamed_calls_have_their_request_id() -> None:
    nodes = [
        chat(completion({"content": "hi"})),
        chat_stream(chunk({"content": "hi"}, "stop")),
        converse({"type": "text", "text": "hi"}),
        converse_stream(*message_events(({"type": "text", "text": "hi"}, []))),
    ]
    for node in nodes:
        assert node.metadata["request_id"] == "req_1"
        assert node.metadata["logtracer.per_run"] == ["request_id"]


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.x.ai/v1", "x_ai"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gcp.gemini"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://localhost:8000/v1", "openai"),
    ],
)
def test_the_provider_is_the_one_that_the_address_names(address: str, provider: str) -> None:
    node = kept("openai", ask_chat, completion({"content": "hi"}), base_url=address)
    assert node.metadata["gen_ai.provider.name"] == provider


@pytest.mark.parametrize(
    "path", ["/threads/t1/messages", "/messages", "/my/messages", "/my/responses"]
)
def test_a_path_that_only_ends_like_a_model_call_is_none(path: str) -> None:
    tracer = Tracer()
    with openai.install(tracer), tracer.trace("run") as root, sdk_client("openai", {}) as client:
        client.post(path, cast_to=object, body={"content": "hi"})
    assert tree(root.trace) == []
