import io
import logging
import sys

import pytest

from mermed_core import progress_bar as module
from mermed_core.progress_bar import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then_with_count_rate_and_time_left(clock, caplog, capsys):
    caplog.set_level(logging.INFO)
    with progress_bar("embedding", "image", total=6400) as bar:
        for _ in range(100):
            clock[0] += 1
            bar.update(16)
    lines = [record.message for record in caplog.records]
    assert lines[0] == "embedding: 320 of 6,400 images, 16.0 a second, 06:20 left"
    assert len(lines) == 100 / 20
    assert lines[-1] == "embedding: 1,600 of 6,400 images, 16.0 a second, 05:00 left"
    assert capsys.readouterr().err == ""


def test_short_work_writes_nothing(clock, caplog):
    caplog.set_level(logging.INFO)
    assert list(progress_bar("listing", "file", of=[1, 2, 3])) == [1, 2, 3]
    with progress_bar("embedding", "image", total=10) as bar:
        clock[0] += module._SECONDS - 1
        bar.update(10)
    assert caplog.records == []


def test_of_what_has_no_end_the_count_is_said(clock, caplog):
    caplog.set_level(logging.INFO)
    with progress_bar("reading", "file") as bar:
        clock[0] += 40
        bar.update(20)
    assert caplog.records[0].message == "reading: 20 files, 0.5 a second"


def test_a_terminal_has_a_bar(monkeypatch, caplog):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("embedding", "image", total=4) as bar:
        bar.update(4)
    assert "embedding: 100%" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()
    assert caplog.records == []
