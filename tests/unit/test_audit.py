"""How often things may happen, and what the audit log keeps of them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from sintonia.services.allowances import _MOST_KEYS, Allowance
from sintonia.services.audit import AuditLog, Entry

DONE = Entry("token:1", "POST", "/v1/projects/p/x", "p", 200, "127.0.0.1", "")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_allowance_is_used_up_and_comes_back() -> None:
    clock = Clock()
    allowance = Allowance(burst=3, per_second=0.5, clock=clock)
    assert [allowance.take("a") for _ in range(4)] == [0, 0, 0, 2]
    assert allowance.take("b") == 0
    clock.now = 1
    assert allowance.take("a") == 1
    clock.now = 2
    assert [allowance.take("a"), allowance.take("a")] == [0, 2]
    clock.now = 1000
    assert [allowance.take("a") for _ in range(4)] == [0, 0, 0, 2]


def test_an_allowance_does_not_grow_without_bound() -> None:
    allowance = Allowance(burst=1, per_second=1e-9)
    allowance.take("kept")
    for number in range(_MOST_KEYS + 500):
        allowance.take(str(number))
        if number % 100 == 0:
            assert allowance.take("kept") > 0
    assert len(allowance._left) == _MOST_KEYS


def lines(log: AuditLog) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.file.read_text().splitlines()]


def test_a_line_for_each_change_readable_by_its_owner_alone(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "new" / "audit.jsonl")
    for number in range(500):
        log.write(replace(DONE, request=str(number)))
    found = lines(log)
    assert [line["request"] for line in found] == [str(number) for number in range(500)]
    assert set(found[0]) == {"time", "principal", "method", "path", "project", "code", "client", "request"}
    assert log.file.stat().st_mode & 0o777 == 0o600
    assert log.file.parent.stat().st_mode & 0o777 == 0o700


def test_a_flood_of_refusals_fills_no_disk_and_hides_nothing_else(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    for _ in range(5000):
        log.write(replace(DONE, code=401, principal=""))
    log.write(replace(DONE, code=403))
    log.write(DONE)
    found = lines(log)
    assert 100 <= len(found) <= 105  # a second may have passed
    assert [line["code"] for line in found[-2:]] == [403, 200]
    assert sum(int(str(line.get("refusalsLeftOut", 0))) for line in found) + len(found) == 5002


def test_what_is_told_cannot_begin_a_line_of_its_own(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(replace(DONE, path="/x\n{}\r\u2028" + "y" * 5000))
    (line,) = lines(log)
    assert len(str(line["path"])) == 1000
    assert len(log.file.read_bytes().splitlines()) == 1


def test_nothing_that_is_told_makes_a_line_long(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    long = "x" * 60_000
    log.write(Entry(long, long, long, long, 403, long, long))
    assert log.file.stat().st_size < 10_000


def test_a_log_that_was_moved_away_begins_anew(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(DONE)
    log.file.rename(tmp_path / "audit.jsonl.1")
    log.write(DONE)
    assert len(lines(log)) == 1


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "audit.jsonl").symlink_to("/dev/full")
    with caplog.at_level(logging.ERROR):
        AuditLog(tmp_path / "audit.jsonl").write(DONE)
    assert "cannot be written (No space left on device)" in caplog.text
