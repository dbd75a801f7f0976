"""Secrets in texts: every made-up secret of the corpus is hidden, every innocent text is kept."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import ROOT
from logtracer import Tracer, TracerConfig, find_secrets

DATA = ROOT / "tests" / "data"
RANDOM_PART = re.compile(r"\{([^{}\"]{1,40}?):(\d+)\}")


def lines_of(name: str) -> list[str]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


SECRETS = dict(line.split("\t", 1) for line in lines_of("secrets.txt"))
INNOCENT = [line.replace("⏎", "\n") for line in lines_of("innocent.txt")]


def letters_of(alphabet: str) -> str:
    """Return the letters of an alphabet as a regular expression writes it: a-z0-9_-."""
    ranges = re.findall(r"(.)-(.)|(.)", alphabet)
    return "".join(
        single or "".join(map(chr, range(ord(first), ord(last) + 1)))
        for first, last, single in ranges
    )


def filled_in(template: str, seed: str) -> tuple[str, list[str]]:
    """Return a text with a secret, and the parts of it that are secret."""
    rng = random.Random(seed)
    parts: list[str] = []

    def part(match: re.Match[str]) -> str:
        letters = letters_of(match[1])
        parts.append("".join(rng.choice(letters) for _ in range(int(match[2]))))
        return parts[-1]

    return RANDOM_PART.sub(part, template.replace("⏎", "\n")), parts


def secrets(count: int) -> Iterator[tuple[str, str, list[str]]]:
    for kind, template in SECRETS.items():
        for seed in range(count):
            yield kind, *filled_in(template, f"{kind} {seed}")


def recorded(value: Any, config: TracerConfig | None = None) -> Any:
    with Tracer(config).trace("run") as root:
        root.output(value=value)
    return root.node_record.output_data["value"]


def seen_in(text: str, parts: list[str]) -> list[str]:
    """Return the parts of which eight letters in a row are in a text."""
    return [
        part
        for part in parts
        if len(part) > 3
        and any(part[start : start + 8] in text for start in range(max(1, len(part) - 7)))
    ]


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(SECRETS) >= 400
    assert len(INNOCENT) >= 700


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_hidden(kind: str) -> None:
    for seed in range(8):
        text, parts = filled_in(SECRETS[kind], f"{kind} {seed}")
        assert seen_in(recorded(text), parts) == []


@pytest.mark.parametrize("wrap", ["x {}", "({})", "<{}>", "`{}`", "{}.", "a, {} and b", "\\n{}\\n"])
def test_a_token_is_hidden_whatever_is_around_it(wrap: str) -> None:
    tokens = list(SECRETS)[: list(SECRETS).index("env")]
    for kind in tokens:
        text, parts = filled_in(SECRETS[kind], kind)
        assert (kind, seen_in(recorded(wrap.format(text)), parts)) == (kind, [])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_secret_in_json_in_a_text_is_hidden_at_any_depth(depth: int) -> None:
    for kind, text, parts in secrets(1):
        for _ in range(depth):
            text = json.dumps({"content": text})
        if kind not in ("csv quoted", "digest header"):  # their own quotes end them in there
            assert (kind, seen_in(recorded(text), parts)) == (kind, [])


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_text_is_kept(text: str) -> None:
    assert recorded(text) == text


def test_what_was_hidden_is_not_hidden_again() -> None:
    for _, text, _ in secrets(1):
        once = recorded(text)
        assert recorded(once).count("[REDACTED]") == once.count("[REDACTED]")


SECRET_KEYS = [
    "password", "passwd", "pwd", "pass", "db_pass", "db_password", "passphrase", "secret",
    "client_secret", "SecretString", "api_key", "apiKey", "X-API-Key", "subscription_key",
    "master_key", "kms_key", "license_key", "service_role_key", "storage_key", "encryption_key",
    "private_key", "access_token", "refresh_token", "session_token", "csrf_token", "api_token",
    "hf_token", "github_token", "pat", "pin", "otp", "cvv", "credit_card", "ssn", "device_code",
    "recovery_code", "mnemonic", "credentials", "connection_string", "dsn", "jwt", "bearer",
    "auth", "authorization", "cookie", "Set-Cookie", "database_url", "DB_PASSWORD_PROD",
    "SECRET_KEY_BASE", "redis_auth", "PGPASSWORD", "sessionid",
]  # fmt: skip
PUBLIC_KEYS = [
    "max_tokens", "token_count", "tokens", "next_page_token", "eos_token", "pad_token",
    "page_token", "auth_required", "has_password", "is_secret", "api_keys_count",
    "time_to_first_token", "tokens_per_second", "auth_method", "cookie_policy", "secret_santa",
    "password_policy", "token_limit", "key", "keys", "primary_key", "sort_key", "cache_key",
    "public_key", "keyboard", "monkey", "author", "secretary", "passenger", "session_id",
    "user_id", "code", "card", "pattern", "path", "signature",
]  # fmt: skip


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("form", ['{"%s": "%s"}', "%s=%s", "%s: %s", "{'%s': '%s'}", "--%s %s"])
def test_what_is_hidden_under_a_key_is_hidden_in_a_text(key: str, form: str) -> None:
    secret = "Zq7Xw3Kp9Rt5Ym2N"
    assert recorded({key: secret}) == {key: "[REDACTED]"}
    assert secret not in recorded(form % (key, secret))


@pytest.mark.parametrize("key", PUBLIC_KEYS)
def test_what_only_sounds_like_a_secret_is_kept(key: str) -> None:
    for value in ("some words", 12, ["a", "b"], {"a": 1}, "strict"):
        assert recorded({key: value}) == {key: value}


@pytest.mark.parametrize(
    "token", [" the", "Paris", "##ing", "Ġthe", "<|eot|>", "\n", "2024", 50256, 0.5]
)
def test_the_tokens_of_a_text_are_kept(token: Any) -> None:
    value = {"token": token, "logprob": -0.5, "top_logprobs": [{"token": token}]}
    assert recorded(value) == value


@pytest.mark.parametrize("token", ["Zq7Xw3Kp9Rt5Ym2N", "3f9a8b7c6d5e", {"id": 1}, b"3f9a8b7c6d5e"])
def test_the_token_of_a_program_is_hidden(token: Any) -> None:
    assert recorded({"token": token}) == {"token": "[REDACTED]"}


def test_a_key_is_hidden_if_its_value_is_random() -> None:
    value = {"stripe_key": "Zq7Xw3Kp9Rt5Ym2N", "map_key": "user:42", "session": "9f8e7d6c5b4a3928"}
    hidden = {"stripe_key": "[REDACTED]", "map_key": "user:42", "session": "[REDACTED]"}
    assert recorded(value) == hidden


def test_find_secrets_tells_where_and_by_which_rule() -> None:
    text = "password=Zq7Xw3Kp9Rt5 and ghp_" + "Zq7Xw3Kp9Rt5" * 3
    assert find_secrets(text) == [(9, 21, "name", "password"), (26, 66, "token", "ghp_")]
    assert find_secrets("nothing here: really") == []


LONG = {
    "minified code": "function f(a,b){return a.key===b?c[d]:e&&g(h)};var x={a:1,b:'c'};",
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "log": "2026-01-31 12:30:45,123 INFO step=3 tool=search trace=0af7651916cd43dd8448eb211c80\n",
    "prose": "The token is passed on, the key question is: which password, whose secret code? ",
    "names": '"password": "", "token": "a", ',
}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_text_takes_time_in_proportion(kind: str) -> None:
    text = LONG[kind] * (500_000 // len(LONG[kind]))
    taken = []
    for size in (100_000, 500_000):
        began = time.thread_time()
        find_secrets(text[:size])
        taken.append(time.thread_time() - began)
    assert taken[1] < 3
    assert taken[1] < 15 * taken[0] + 0.2


FLOODS = [
    "curl -u ", "password=' ", 'password="', '\\"password\\": \\"', "<password>", "user,password\n",
    "password    x\n", "the password is ", "my api key ", "a_b-c.d", "--token ", "login -p ",
    "https://a:b", "https://a.hook/", "x=", '"value": ', "machine x login y ", "Cookie: a",
    "Authorization: ", "sk-ant-", "ghp_", "password=[", "?code=", "basic ", "0/0", "a+A", "x.y.z.",
]  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS)
def test_no_text_makes_the_search_slow(flood: str) -> None:
    text = flood * (40_000 // len(flood))
    began = time.thread_time()
    find_secrets(text)
    assert time.thread_time() - began < 2


# ---- Patterns of the user -----------------------------------------------------------------------

E_MAIL = r"[\w.+-]+@[\w-]+\.[\w.]+"


def test_a_pattern_that_is_slow_on_one_text_hides_that_text_alone() -> None:
    config = TracerConfig(redact_patterns=[E_MAIL])
    began = time.thread_time()
    kept = recorded(["0123456789abcdef" * 20_000, "see ada@example.com", "plain"], config)
    assert time.thread_time() - began < 1
    assert kept == ["[REDACTED]", "see [REDACTED]", "plain"]


def test_a_pattern_finds_what_lies_across_a_cut() -> None:
    config = TracerConfig(redact_patterns=[r"C-\d{8}"])
    for start in range(4_000, 4_110, 3):
        text = "x" * start + "C-12345678" + "y" * 5_000
        assert recorded(text, config) == "x" * start + "[REDACTED]" + "y" * 5_000


def test_a_pattern_that_matches_nothing_at_all_hides_nothing() -> None:
    assert recorded("abc def", TracerConfig(redact_patterns=["x*"])) == "abc def"


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(?:[a-z]*,)*", r"(\w+\s?)*$", "((ab)+c)+", "(a{2,}){3,}", "(?P<x>a*)+"]
)
def test_a_repetition_inside_a_repetition_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="repetition inside a repetition"):
        TracerConfig(redact_patterns=[pattern])


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?:\d{1,3}\.){3}\d{1,3}",
        r"(?:\d[ -]?){13,16}",
        r"[(+*]+",
        r"\(\w+\)+",
        "(?:ab|cd)+",
        E_MAIL,
    ],
)
def test_a_harmless_repetition_is_accepted(pattern: str) -> None:
    assert TracerConfig(redact_patterns=[pattern]).redact_patterns == [pattern]
