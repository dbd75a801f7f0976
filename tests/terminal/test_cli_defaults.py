"""What the terminal does without being told: the latest trace, the store of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from logtracer import Tracer, save_trace_json
from logtracer_cli import main
from logtracer_extras.sqlite import SQLiteStore
from sample_traces import weather

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def traces(empty_directory: Path) -> Path:
    save_trace_json(weather(), empty_directory / "traces" / f"{weather().trace_id}.json")
    return empty_directory


@pytest.mark.usefixtures("traces")
def test_inspect_shows_the_latest_trace(capsys: Captured) -> None:
    assert main(["inspect"]) == 0
    assert "weather_agent" in capsys.readouterr().out


def test_view_writes_the_page_of_the_latest_trace(traces: Path) -> None:
    assert main(["view", "--no-open", "--output", "page.html"]) == 0
    assert (traces / "page.html").exists()


@pytest.mark.usefixtures("empty_directory")
def test_the_store_of_the_environment_is_the_default(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGTRACER_STORAGE", "sqlite://service.db")
    store = SQLiteStore("service.db")
    with Tracer(storage=store).trace("from a service"):
        pass
    store.close()
    assert main(["list"]) == 0
    assert "from a service" in capsys.readouterr().out


@pytest.mark.usefixtures("traces")
def test_traces_in_memory_leave_the_default_as_it_is(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGTRACER_STORAGE", "memory")
    assert main(["list"]) == 0
    assert "weather_agent" in capsys.readouterr().out


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_the_c_locale_gets_ascii(
    locale: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    assert main(["inspect"]) == 0
    assert capsys.readouterr().out.isascii()


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("locale", ["C.UTF-8", "en_GB.UTF-8"])
def test_other_locales_get_unicode(
    locale: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    assert main(["inspect"]) == 0
    assert "├──" in capsys.readouterr().out


@pytest.mark.parametrize(("typed", "meant"), [("inspct", "inspect"), ("lst", "list")])
def test_a_misspelt_command_is_told_what_was_meant(
    typed: str, meant: str, capsys: Captured
) -> None:
    assert main([typed]) == 2
    assert f"unknown command: {typed!r}; did you mean {meant!r}?" in capsys.readouterr().err


def test_an_unknown_command_is_told_which_there_are(capsys: Captured) -> None:
    assert main(["xyzzy"]) == 2
    assert "available: inspect, list" in capsys.readouterr().err
