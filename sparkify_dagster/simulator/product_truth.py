"""Expected results of the queries on the marts, computed from the simulated events of all pages.

Nothing here reads a file or a warehouse, or knows the marts: each result is implemented a second time.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from heapq import nsmallest
from typing import Final

from sparkify_dagster.simulator.expectations import MAX_ROWS, Expectations, Row, length_of, quotient
from sparkify_dagster.simulator.listening import Listening
from sparkify_dagster.simulator.page_rates import CANCELLATION_CONFIRMATION, FREE, NEXT_SONG, PAID

PRODUCT_EXPECTATIONS: Final = Expectations()
_expects = PRODUCT_EXPECTATIONS.expects

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_LAPSED_DAYS: Final = 14
_ENGAGEMENT_DAYS: Final = 28
_FIRST_ERROR_STATUS: Final = 400


@_expects("day", "daily_users", "weekly_users", "monthly_users", "stickiness")
def active_users(listening: Listening) -> Iterator[Row]:
    active = {day.date: set(day.listeners) for day in listening.days_of_users}
    for day in _days_between(active):
        daily, weekly, monthly = (
            len(set().union(*(active.get(day - back * _DAY, ()) for back in range(days)))) for days in (1, 7, 30)
        )
        yield day, daily, weekly, monthly, quotient(daily, monthly, digits=4) if monthly else None


@_expects("week", "active_users", "new_users", "retained_users", "resurrected_users", "churned_users")
def growth_accounting(listening: Listening) -> Iterator[Row]:
    active: defaultdict[date, set[int]] = defaultdict(set)
    for day in listening.days_of_users:
        active[_monday(day.date)].update(day.listeners)
    known: set[int] = set()
    for week in _days_between(active, step=_WEEK):
        now, before = active.get(week, set()), active.get(week - _WEEK, set())
        resurrected = (now & known) - before
        yield week, len(now), len(now - known), len(now & before), len(resurrected), len(before - now)
        known |= now


@_expects("step", "stage", "users", "share")
def upgrade_funnel(listening: Listening) -> Iterator[Row]:
    free: set[int] = set()
    for day in listening.days_of_users:
        free.update(user for user, level in zip(day.listeners, day.levels, strict=True) if level == FREE)
    if not free:
        return
    saw = free & _users_on(listening, "Upgrade")
    submitted = saw & _users_on(listening, "Submit Upgrade")
    paid = {user for user, level in listening.latest_levels().items() if level == PAID}
    stages = {"was free": free, "saw Upgrade": saw, "submitted": submitted, "pays at the end": submitted & paid}
    for step, (stage, users) in enumerate(stages.items(), 1):
        yield step, stage, len(users), quotient(len(users), len(free), digits=4)


@_expects("week", "active_users", "downgraded_users", "cancelled_users", "leaving_share")
def leaving(listening: Listening) -> Iterator[Row]:
    active: defaultdict[date, set[int]] = defaultdict(set)
    downgraded: defaultdict[date, set[int]] = defaultdict(set)
    cancelled: defaultdict[date, set[int]] = defaultdict(set)
    for day in listening.days_of_users:
        active[_monday(day.date)].update(day.listeners)
    for leavers, page in ((downgraded, "Submit Downgrade"), (cancelled, CANCELLATION_CONFIRMATION)):
        for day in listening.days_on(page):
            leavers[_monday(day.date)].update(day.listeners)
    for week, users in active.items():
        left = downgraded[week] | cancelled[week]
        share = quotient(len(left), len(users), digits=4)
        yield week, len(users), len(downgraded[week]), len(cancelled[week]), share


@_expects("days", "users")
def days_to_upgrade(listening: Listening) -> Iterator[Row]:
    free_since: dict[int, date | None] = {}
    took: dict[int, int] = {}
    for day in listening.days_of_users:
        for user, level in zip(day.listeners, day.levels, strict=True):
            first_free = free_since.setdefault(user, day.date if level == FREE else None)
            if level == PAID and first_free is not None:
                took.setdefault(user, (day.date - first_free).days)
    yield from sorted(Counter(took.values()).items())


@_expects("user_id", "first_name", "last_name", "level", "last_day", "days_since", "plays")
def lapsed_listeners(listening: Listening) -> Iterator[Row]:
    last_days: dict[int, date] = {}
    for day in listening.days:
        last_days.update(dict.fromkeys(day.listeners, day.date))
    if not last_days:
        return
    end = listening.days_of_users[-1].date
    levels, plays = listening.latest_levels(), listening.plays_by_listener
    lapsed = [user for user, last_day in last_days.items() if (end - last_day).days >= _LAPSED_DAYS]
    for user in nsmallest(MAX_ROWS, lapsed, key=lambda user: (-plays[user], user)):
        listener = listening.listeners[user]
        last_day = last_days[user]
        names = (listener.first_name, listener.last_name)
        yield listener.user_id, *names, levels[user], last_day, (end - last_day).days, plays[user]


@_expects("days_active", "users", "share")
def engagement_days(listening: Listening) -> Iterator[Row]:
    days = listening.days_of_users
    counted = [day for day in days if (days[-1].date - day.date).days < _ENGAGEMENT_DAYS]
    active = Counter(user for day in counted for user in set(day.listeners))
    for days_active, users in sorted(Counter(active.values()).items()):
        yield days_active, users, quotient(users, len(active), digits=4)


@_expects("day", "adverts", "hours", "adverts_per_hour")
def adverts_per_free_hour(listening: Listening) -> Iterator[Row]:
    lengths = [length_of(song) for song in listening.songs]
    for day in listening.days_of_users:
        free = [
            (page, song)
            for page, song, level in zip(day.pages, day.songs, day.levels, strict=True)
            if level == FREE and page in ("Roll Advert", NEXT_SONG)
        ]
        if not free:
            continue
        adverts = sum(page != NEXT_SONG for page, _ in free)
        seconds = sum((lengths[song] for page, song in free if page == NEXT_SONG), Decimal(0))
        per_hour = quotient(adverts * 3_600, seconds, digits=2) if seconds else None
        yield day.date, adverts, quotient(seconds, 3_600, digits=2), per_hour


@_expects("day", "events", "errors", "help", "error_rate")
def errors_and_help(listening: Listening) -> Iterator[Row]:
    for day in listening.days_of_everybody:
        errors = sum(status >= _FIRST_ERROR_STATUS for status in day.statuses)
        help_pages = sum(page == "Help" for page in day.pages)
        yield day.date, len(day), errors, help_pages, quotient(errors, len(day), digits=4)


@_expects("level", "hour", "plays", "listeners")
def plays_by_hour_and_level(listening: Listening) -> Iterator[Row]:
    listeners: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for day in listening.days:
        for level, second, listener in zip(day.levels, day.seconds, day.listeners, strict=True):
            listeners[level, second // 3_600].append(listener)
    for (level, hour), played in sorted(listeners.items()):
        yield level, hour, len(played), len(set(played))


@_expects("level", "sessions", "plays", "plays_per_session", "minutes", "longest_minutes")
def sessions_by_level(listening: Listening) -> Iterator[Row]:
    lengths = [length_of(song) for song in listening.songs]
    plays = array("q", [0]) * listening.sessions
    levels: dict[int, str] = {}
    seconds: defaultdict[int, Decimal] = defaultdict(Decimal)
    for day in listening.days_of_users:
        for session, level, page, song in zip(day.sessions, day.levels, day.pages, day.songs, strict=True):
            levels.setdefault(session, level)
            if page == NEXT_SONG:
                plays[session] += 1
                seconds[session] += lengths[song]
    for level in (FREE, PAID):
        sessions = [session for session in seconds if levels[session] == level]
        if not sessions:
            continue
        played = sum(plays[session] for session in sessions)
        yield (
            level,
            len(sessions),
            played,
            quotient(played, len(sessions), digits=2),
            quotient(sum((seconds[session] for session in sessions), Decimal(0)), 60 * len(sessions), digits=2),
            quotient(max(seconds[session] for session in sessions), 60, digits=2),
        )


@_expects("changed_at", "user_id", "first_name", "last_name", "old_level", "new_level")
def level_changes(listening: Listening) -> Iterator[Row]:
    levels: dict[int, str] = {}
    changes: list[tuple[datetime, int, str, str]] = []
    for day in listening.days_of_users:
        for number, level, second in zip(day.listeners, day.levels, day.seconds, strict=True):
            before = levels.get(number, level)
            if level != before:
                changed_at = day.start + timedelta(seconds=second, milliseconds=listening.ms)
                changes.append((changed_at, number, before, level))
            levels[number] = level
    # Listeners' numbers have the order of their ids.
    for changed_at, number, before, level in sorted(changes):
        listener = listening.listeners[number]
        yield changed_at, listener.user_id, listener.first_name, listener.last_name, before, level


@_expects("user_id", "first_name", "last_name", "level", "plays", "sessions", "days", "hours")
def most_active_users(listening: Listening) -> Iterator[Row]:
    # Listeners' numbers have the order of their ids.
    most_active = nsmallest(MAX_ROWS, listening.plays_by_listener.items(), key=lambda item: (-item[1], item[0]))
    lengths = [length_of(song) for song in listening.songs]
    sessions: dict[int, set[int]] = {number: set() for number, _ in most_active}
    days: Counter[int] = Counter()
    seconds: defaultdict[int, Decimal] = defaultdict(Decimal)
    for day in listening.days:
        for number, session, song in zip(day.listeners, day.sessions, day.songs, strict=True):
            if number in sessions:
                sessions[number].add(session)
                seconds[number] += lengths[song]
        days.update(set(day.listeners))
    levels = listening.latest_levels()
    for number, plays in most_active:
        listener = listening.listeners[number]
        yield (
            listener.user_id,
            listener.first_name,
            listener.last_name,
            levels[number],
            plays,
            len(sessions[number]),
            days[number],
            quotient(seconds[number], 3_600, digits=2),
        )


def _users_on(listening: Listening, page: str) -> set[int]:
    return {user for day in listening.days_on(page) for user in day.listeners}


def _days_between(days: "dict[date, set[int]]", step: timedelta = _DAY) -> Iterator[date]:
    """Yields the days from the first to the last one, both included."""
    if days:
        first = min(days)
        for number in range((max(days) - first) // step + 1):
            yield first + number * step


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
