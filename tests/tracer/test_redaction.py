"""Redaction: no secret is in anything that is written, listened to or printed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logtracer_cli
from logtracer import FileStore, Tracer, TracerConfig, trace_node, trace_to_json
from stress.quiet import minutes_later
from stress.reading import named, only_trace
from stress.stores import STORES

# Made up, each in the form its product gives it; put together here so that no scanner of sources
# takes this file for a leak.
TAIL = "Zq7Xw3Kp9Rt5Ym2Nv8Bc"
HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
TOKENS: dict[str, str] = {
    "openai": "sk-" + TAIL * 2,
    "openai project": "sk-proj-" + TAIL * 2,
    "anthropic": "sk-ant-api03-" + TAIL * 4,
    "openrouter": "sk-or-v1-" + HEX * 2,
    "langfuse secret": "sk-lf-" + "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "langfuse public": "pk-lf-" + "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "langsmith": "lsv2_pt_" + HEX,
    "stripe live": "sk_live_" + TAIL,
    "stripe test": "sk_test_" + TAIL,
    "stripe restricted": "rk_live_" + TAIL,
    "stripe webhook": "whsec_" + TAIL,
    "github": "ghp_" + TAIL + "Qw3Er5Ty7Ui9Op1A",
    "github oauth": "gho_" + TAIL + "Qw3Er5Ty7Ui9Op1A",
    "github fine": "github_pat_" + "11ABCDEFG0" + TAIL * 3,
    "gitlab": "glpat-" + TAIL,
    "slack bot": "xoxb-" + "1234567890-1234567890-" + TAIL,
    "slack app": "xapp-1-" + "A01-123-" + TAIL,
    "google": "AIza" + "Sy" + TAIL + "abcdefghijk12",
    "google oauth": "ya29." + TAIL * 2,
    "google client": "GOCSPX-" + TAIL,
    "hugging face": "hf_" + TAIL * 2,
    "npm": "npm_" + TAIL * 2,
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + TAIL,
    "sendgrid": "SG." + TAIL + "." + TAIL,
    "digital ocean": "dop_v1_" + HEX * 2,
    "shopify": "shpat_" + HEX,
    "groq": "gsk_" + TAIL * 2,
    "perplexity": "pplx-" + TAIL * 2,
    "xai": "xai-" + TAIL * 3,
    "nvidia": "nvapi-" + TAIL * 3,
    "tavily": "tvly-" + TAIL,
    "replicate": "r8_" + TAIL * 2,
    "docker": "dckr_pat_" + TAIL,
    "vault": "hvs." + TAIL * 2,
    "databricks": "dapi" + HEX,
    "aws key id": "AKIA" + "Z7XW3KP9RT5YM2NV",
    "aws session id": "ASIA" + "Z7XW3KP9RT5YM2NV",
    "twilio": "SK" + HEX,
    "telegram": "123456789:" + "AAF" + TAIL + "abcdefghijkl",
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + TAIL,
    "bearer": "Bearer " + TAIL,
    "basic": "Basic " + "dXNlcjpwYXNzd29yZA==",
    "url": "https://user:" + TAIL + "@host/path",
    "postgres url": "postgresql://user:" + TAIL + "@host:5432/db",
    "assignment": "password=" + TAIL,
    "json text": '{"api_key": "' + TAIL + '"}',
    "query": "?access_token=" + TAIL + "&page=1",
    "cookie header": "Cookie: session=" + TAIL,
    "pem": "-----BEGIN RSA PRIVATE KEY-----\n" + TAIL + "\n-----END RSA PRIVATE KEY-----",
    "cut pem": "-----BEGIN PRIVATE KEY-----\n" + TAIL,
}
KEYS = [
    "password", "passwd", "pwd", "secret", "api_key", "apikey", "apiKey", "X-API-Key",
    "x-api-key", "authorization", "Authorization", "cookie", "Set-Cookie", "access_token",
    "accessToken", "refresh_token", "id_token", "auth_token", "client_secret",
    "aws_secret_access_key", "private_key", "PRIVATE_KEY", "db_password", "credentials",
    "session_key", "csrf_token", "dsn", "connection_string", "OPENAI_API_KEY", "githubToken",
]  # fmt: skip


def canary(token: str) -> str:
    """Return the part of a token that must appear nowhere."""
    for mark in ("dXNlcjpwYXNzd29yZA==", HEX, TAIL, "0a1b2c3d-4e5f", "Z7XW3KP9RT5YM2NV"):
        if mark in token:
            return mark
    raise AssertionError(token)


class Holder:
    """An object that shows a secret in its repr."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"<Holder {self._secret}>"


def give(root: Any, token: str) -> None:
    """Let a token reach a trace by every path there is."""
    text = f"before {token} after"
    for _ in range(2):  # what is remembered from the first time must not leak the second
        with root.node(text) as step:
            step.input(plain=token, text=text, nested={"list": [text, {"deep": text}]})
            step.output(**{text: 1, "data": text.encode(), "shown": Holder(token)})
            step.output(keys={text: {token: 1}}, long="x" * 2_000 + text)
            step.metadata(**{"plain": text, token: "key"})
            step.annotate(text)
    root.link(step, edge_type=text, label=text)
    with pytest.raises(ValueError), root.node("failing"):
        raise ValueError(text)


def heard(events: list[str]) -> Callable[..., None]:
    def listen(*arguments: Any) -> None:
        events.append(repr(arguments))

    return listen


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_in_no_file_no_hook_and_no_output(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = TOKENS[kind]
    events: list[str] = []
    tracer = Tracer(storage=FileStore(tmp_path))
    for event in ("started", "updated", "completed", "failed"):
        tracer.on(f"node.{event}", heard(events))
    tracer.on("trace.completed", heard(events))
    with tracer.trace(f"run {token}", {"meta": token}, user_id=token, tags=[token]) as root:
        give(root, token)
        events += [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()]  # the journal
    [path] = tmp_path.iterdir()
    assert logtracer_cli.main(["inspect", str(path), "--verbosity", "full", "--ascii"]) == 0
    written = [path.read_text(encoding="utf-8"), *events, capsys.readouterr().out]
    assert [text for text in written if canary(token) in text] == []
    assert "[REDACTED]" in written[0]


@pytest.mark.parametrize("kind", STORES)
def test_a_token_is_in_no_store(kind: str, tmp_path: Path) -> None:
    tracer = Tracer(storage=STORES[kind](tmp_path))
    with tracer.trace("run") as root:
        for token in TOKENS.values():
            give(root, token)
    text = trace_to_json(only_trace(tracer))
    assert [token for token in TOKENS.values() if canary(token) in text] == []


@pytest.mark.parametrize("key", KEYS)
def test_what_is_under_a_secret_name_is_hidden_whatever_it_is(key: str) -> None:
    tracer = Tracer()
    for secret in ("short", 1234, ["a", "b"], b"bytes", {"nested": "value"}):
        with tracer.trace("run") as root, root.node("step") as step:
            step.input(**{key: secret})
            step.metadata(headers={key: secret})
        node = step.node_record
        assert node.input_data == {key: "[REDACTED]"}
        assert node.metadata == {"headers": {key: "[REDACTED]"}}


HARMLESS: dict[str, Any] = {
    "max_tokens": 4_096,
    "input_tokens": 17,
    "token_count": 3,
    "author": "Ada",
    "keyboard": "qwerty",
    "monkey": "Kong",
    "secretary": "Bob",
    "passenger": "Ada",
    "sorting_key": "name",
    "text": "The task-id is 1234567890 and the disk-image is 5e-3 of sk-8.",
    "hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "uuid": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
    "url": "https://example.com/a?page=2#top",
    "mail": "ada@example.com",
    "prose": "Write a secret message, forget the password, ask for a token.",
    "code": "for key in keys: print(key, values[key])",
}


@pytest.mark.parametrize("key", HARMLESS)
def test_what_is_no_secret_stays(key: str) -> None:
    with Tracer().trace("run") as root:
        root.output(**{key: HARMLESS[key]})
    assert root.node_record.output_data == {key: HARMLESS[key]}


def test_a_secret_that_lies_across_the_cut_is_hidden() -> None:
    config = TracerConfig(max_input_size=100)
    for start in range(40, 110):
        with Tracer(config).trace("run") as root:
            root.input(text="x" * start + " " + TOKENS["openai"])
        assert TAIL[:8] not in str(root.node_record.input_data)


# ---- What the user configures -------------------------------------------------------------------


def configured(value: Any, **options: Any) -> Any:
    with Tracer(TracerConfig(**options)).trace("run") as root:
        root.input(value=value)
    return root.node_record.input_data["value"]


def test_own_keys_and_patterns_add_to_the_built_in_ones() -> None:
    options: dict[str, Any] = {"redact_keys": ["customerName"], "redact_patterns": [r"C-\d{4}"]}
    value = {"customer_name": "Ada", "text": "see C-1234", "password": "x"}
    expected = {"customer_name": "[REDACTED]", "text": "see [REDACTED]", "password": "[REDACTED]"}
    assert configured(value, **options) == expected


def test_own_patterns_hold_for_short_texts_keys_names_and_annotations() -> None:
    tracer = Tracer(TracerConfig(redact_patterns=["xyz"]))
    with tracer.trace("run xyz") as root, root.node("xyz") as step:
        step.input(xyz="xyz")
        step.annotate("xyz")
    assert "xyz" not in trace_to_json(only_trace(tracer))


def test_the_built_in_redaction_can_be_switched_off() -> None:
    value = {"password": "x", "text": TOKENS["openai"]}
    assert configured(value, redact_defaults=False) == value


def test_own_patterns_work_with_the_built_in_ones_switched_off() -> None:
    assert configured("a b", redact_defaults=False, redact_patterns=["b"]) == "a [REDACTED]"


def test_a_callback_sees_each_text_with_its_key_and_decides() -> None:
    def redact(key: str, text: str) -> str:
        return "hidden" if key == "city" else text

    value = {"city": "Paris", "list": ["Paris"]}
    assert configured(value, redact=redact) == {"city": "hidden", "list": ["Paris"]}


def test_a_callback_that_fails_drops_the_value_and_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def redact(key: str, text: str) -> str:
        raise RuntimeError("broken redactor")

    tracer = Tracer(TracerConfig(redact=redact))
    with tracer.trace("run") as root:
        root.input(value="anything")
    assert "anything" not in trace_to_json(only_trace(tracer))
    assert tracer.stats()["errors"] > 0
    assert len(caplog.records) <= 1


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<x>", 42, None])
def test_a_bad_pattern_is_refused_at_once(pattern: Any) -> None:
    with pytest.raises(ValueError, match="redact_patterns"):
        TracerConfig(redact_patterns=[pattern])


PATHOLOGICAL = [
    "(a+)+$",
    "((a+))+$",
    "(a*)*b",
    "(a|aa)+$",
    "(a|a?)+$",
    "(a+b?)+$",
    "(.*a){20}",
    "([a-z]+)*[0-9]",
    r"(\w+\s?)*$",
    "(?:a{1,5}){1,50}$",
    "a*a*a*a*a*a*a*a*$",
    ".*.*.*.*=x",
]


@pytest.mark.parametrize("pattern", PATHOLOGICAL)
@pytest.mark.parametrize("size", [30, 300_000])
def test_a_pathological_pattern_is_refused_or_holds_the_host_up_for_less_than_two_seconds(
    pattern: str, size: int
) -> None:
    began = time.process_time()
    try:
        configured("a" * size + "!", redact_patterns=[pattern])
    except ValueError as error:
        assert "redact_patterns" in str(error)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("pattern", [r"\d{3}-\d{4}", r"\b[\w.]+@\w+\.\w{2,}", "a|b|c", "x+y*z?"])
def test_an_ordinary_pattern_is_accepted(pattern: str) -> None:
    assert TracerConfig(redact_patterns=[pattern]).redact_patterns == [pattern]


FLOODS = [
    "eyJ-", "eyJaaaaaa-", "eyJaaaaaa.", "a://", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "bearer ",
    "sk-", "password=", "password: ", "key-", "1", "123456789:", "AKIA", "=:@-", "token ", "a.b@c/",
]  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS)
def test_no_text_makes_the_built_in_patterns_slow(flood: str) -> None:
    text = flood * (200_000 // len(flood))
    began = time.process_time()
    configured(text)
    assert time.process_time() - began < 2


# ---- Our own messages ---------------------------------------------------------------------------


def test_a_secret_in_an_error_of_a_store_is_not_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        """A store that shows its connection string when it fails."""

        def save(self, trace: Any) -> None:
            raise OSError(TOKENS["postgres url"])

        def load(self, trace_id: str) -> None:
            return None

        def list_traces(self) -> list[str]:
            return []

    minutes_later(monkeypatch)
    with Tracer(storage=Failing()).trace("run"):
        pass
    assert "postgresql" in caplog.text
    assert TAIL not in caplog.text


def test_what_a_decorated_function_is_given_and_returns_is_redacted() -> None:
    @trace_node(capture_args=True, capture_return=True)
    def login(password: str, text: str) -> dict[str, str]:
        return {"token": password, "echo": text}

    tracer = Tracer()
    with tracer.trace("run"):
        login("hunter2", TOKENS["jwt"])
    node = named(only_trace(tracer), "login")
    assert node.input_data == {"password": "[REDACTED]", "text": "[REDACTED]"}
    assert node.output_data == {"token": "[REDACTED]", "echo": "[REDACTED]"}


@pytest.mark.parametrize(
    "text", ["pa\u017f\u017fword=abcdefghijkl1", "ba\u017fic YWRhOmFiY2RlZmdo"]
)
def test_letters_that_count_as_the_same_hide_no_secret(text: str) -> None:
    tracer = Tracer()
    with tracer.trace("run") as root:
        root.output(text=text)
    assert "[REDACTED]" in only_trace(tracer).root_nodes[0].output_data["text"]
