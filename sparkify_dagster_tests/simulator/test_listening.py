"""Ground truth in columns: the same events as in the log."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from sparkify_dagster.simulator.catalogue import catalogue
from sparkify_dagster.simulator.simulation import simulate_listening
from sparkify_dagster_tests.support.simulated_files import START, Written


def test_the_columns_have_the_events_of_users_in_the_log(month: Written) -> None:
    listening = simulate_listening(catalogue(1, 400), users=100, days=30, start=START, seed=1)
    ids = [listener.user_id for listener in listening.listeners]
    known = [
        (ids[listener], day.start + timedelta(seconds=second, milliseconds=listening.ms), page, level, status)
        for day in listening.days_of_users
        for listener, second, page, level, status in zip(
            day.listeners, day.seconds, day.pages, day.levels, day.statuses, strict=True
        )
    ]
    logged = [
        (
            int(event["userId"]),
            datetime.fromtimestamp(event["ts"] / 1000, UTC).replace(tzinfo=None),
            event["page"],
            event["level"],
            event["status"],
        )
        for event in month.events()
        if event["userId"]
    ]

    assert ids == sorted(ids)
    assert Counter(known) == Counter(logged)
    adverts = sum(map(len, listening.days_on("Roll Advert", "Error")))
    assert adverts == sum(page in ("Roll Advert", "Error") for _, _, page, _, _ in logged) > 0
