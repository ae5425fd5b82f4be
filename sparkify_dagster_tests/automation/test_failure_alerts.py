"""Reports of failure_alerts: real failed runs, and a real HTTP server that receives the reports."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import dagster as dg
import pytest

from sparkify_dagster.automation import failure_alerts as sensor
from sparkify_dagster.automation.webhook import WebhookError
from sparkify_dagster_tests.support.events import event
from sparkify_dagster_tests.support.ticks import Ticks, run
from sparkify_dagster_tests.support.world import World

PATH = "/services/T000/B000/not-to-be-shown"


@pytest.fixture
def alerts(world: World, instance: dg.DagsterInstance) -> Ticks:
    ticks = Ticks(sensor.failure_alerts, world, instance)
    ticks.evaluate()
    return ticks


@dataclass
class Webhook:
    url: str
    texts: list[str] = field(default_factory=list)
    status: int = 200


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == PATH
            if taken.status == 200:
                taken.texts.append(content["text"])
            self.send_response(taken.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Webhook(f"http://127.0.0.1:{server.server_port}{PATH}")
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SPARKIFY_ALERT_WEBHOOK", taken.url)
        monkeypatch.setenv("SPARKIFY_UI_URL", "https://dagster.example/")
        yield taken
        server.shutdown()


def fail_a_run(ticks: Ticks, day: str = "2018-11-02") -> str:
    """Runs a job whose source folder is missing."""
    folder = Path(ticks.world.log_data)
    folder.rename(folder.with_name("elsewhere"))
    result = run(ticks.world, ticks.instance, "load_log_days", day)
    folder.with_name("elsewhere").rename(folder)
    assert not result.success
    return result.run_id


def fail_a_check(ticks: Ticks) -> str:
    """Runs a job that succeeds, with a rejected day."""
    ticks.world.max_load_errors = 1
    ticks.world.write_log("2018-11-03", b"one", b"two", event())
    result = run(ticks.world, ticks.instance, "load_log_days", "2018-11-03")
    assert result.success
    return result.run_id


@pytest.fixture(scope="module")
def failed_twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ticks]:
    """A history with a failed check, then a tick, then two failed runs."""
    with dg.DagsterInstance.ephemeral() as instance:
        ticks = Ticks(sensor.failure_alerts, World(tmp_path_factory.mktemp("failed")), instance)
        fail_a_check(ticks)
        ticks.evaluate()
        fail_a_run(ticks, "2018-11-01")
        fail_a_run(ticks, "2018-11-02")
        yield ticks


@pytest.fixture
def failures(failed_twice: Ticks) -> Ticks:
    """Ticks of the test's own on that history, after the first one."""
    return replace(failed_twice)


@pytest.mark.slow
def test_each_failure_is_reported_once_with_the_reason_first(alerts: Ticks, webhook: Webhook) -> None:
    failed = fail_a_run(alerts)
    alerts.evaluate()
    reason = f"staging_events failed (load_log_days, 2018-11-02): {alerts.world.log_data}: there is no such folder"
    assert webhook.texts == [f"{reason}\nhttps://dagster.example/runs/{failed}"]
    assert alerts.skipped == reason
    # Although its run succeeds.
    checked = fail_a_check(alerts)
    alerts.evaluate()
    (_, text) = webhook.texts
    first, *_, last = text.splitlines()
    failed_check = "Check no_rejected_loads of staging_events failed (load_log_days, 2018-11-03)"
    rejection = "2018-11-03 is rejected: 2018/11/2018-11-03-events.json has 3 errors and no good record"
    assert first.startswith(f"{failed_check}: {rejection}. Correct the files")
    assert last == f"https://dagster.example/runs/{checked}"
    alerts.evaluate()
    assert len(webhook.texts) == 2


@pytest.mark.slow
def test_a_warning_is_not_reported(alerts: Ticks, webhook: Webhook) -> None:
    alerts.world.write_log("2018-11-03", b"one", event(time="2018-11-03T10:00:00"))
    assert run(alerts.world, alerts.instance, "load_log_days", "2018-11-03").success
    alerts.evaluate()
    assert webhook.texts == []
    assert alerts.skipped == "No new failures"


@pytest.mark.slow
def test_several_failures_of_one_tick_are_one_message(failures: Ticks, webhook: Webhook) -> None:
    failures.evaluate()
    (text,) = webhook.texts
    assert "2018-11-01" in text.splitlines()[0]
    assert text.count("https://dagster.example/runs/") == 2


@pytest.mark.slow
def test_failures_before_the_sensor_was_switched_on_are_not_reported(failures: Ticks, webhook: Webhook) -> None:
    failures.cursor = None
    failures.evaluate()
    assert webhook.texts == []
    failed = fail_a_run(failures)
    try:
        failures.evaluate()
        assert len(webhook.texts) == 1
    finally:
        failures.instance.delete_run(failed)


@pytest.mark.slow
def test_a_report_that_the_webhook_rejects_is_sent_again(failures: Ticks, webhook: Webhook) -> None:
    webhook.status = 503
    with pytest.raises(WebhookError, match=r"at 127\.0\.0\.1 did not accept the report: HTTP status 503") as error:
        failures.evaluate()
    assert "not-to-be-shown" not in str(error.value)
    webhook.status = 200
    failures.evaluate()
    assert len(webhook.texts) == 1


@pytest.mark.slow
def test_the_error_of_an_unreachable_webhook_hides_its_secret(failures: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKIFY_ALERT_WEBHOOK", f"http://127.0.0.1:9{PATH}")
    with pytest.raises(WebhookError, match="ConnectionError") as error:
        failures.evaluate()
    assert error.value.__suppress_context__
    assert "not-to-be-shown" not in str(error.value)


@pytest.mark.slow
def test_without_a_webhook_reports_are_only_logged(failures: Ticks) -> None:
    failures.evaluate()
    assert "there is no such folder" in (failures.skipped or "")


def test_failure_alerts_is_off_by_default() -> None:
    assert sensor.failure_alerts.default_status is dg.DefaultSensorStatus.STOPPED
