"""The headline figures of the report: the same on every warehouse."""

from datetime import date
from decimal import Decimal

import pytest

from sparkify_dagster.report.figures import HeadlineFigures, first_and_last_play, headline_figures
from sparkify_dagster.report.period import Period
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.world import World

# Day, user, session, level, and whether the song is in the catalogue.
PLAYS = [
    (1, 8, 1, "free", True),
    (2, 8, 1, "free", True),
    (2, 9, 2, "paid", True),
    (2, 9, 2, "paid", False),
    # Sessions of two users may have one number.
    (3, 8, 7, "paid", True),
    (3, 9, 7, "paid", False),
    (3, 9, 8, "paid", False),
    (4, 8, 7, "free", True),
    (4, 8, 7, "paid", True),
    (4, 8, 7, "paid", True),
]
LENGTH = Decimal("246.30812")


def write_plays(world: World) -> None:
    for day in range(1, 5):
        plays = [
            event(
                # The first moment of a day is not of the period before.
                time=f"2018-11-{day:02}T00:00:00",
                userId=str(user),
                sessionId=session,
                itemInSession=number,
                level=level,
                **({} if is_known else {"song": "Never recorded"}),
            )
            for number, (of_day, user, session, level, is_known) in enumerate(PLAYS)
            if of_day == day
        ]
        home = event(time=f"2018-11-{day:02}T09:00:00", page="Home", userId="99", artist=None, song=None, length=None)
        world.write_log(f"2018-11-{day:02}", home, *plays)
    world.write_songs("A/A/A/TRAAA.json", song())
    world.load("2018-11-01", "2018-11-04")


def period(first: int, last: int) -> Period:
    return Period(date(2018, 11, first), date(2018, 11, last))


def expected(first: int, last: int) -> dict[str, float | None]:
    """The figures of some days, in plain Python."""
    plays = [play for play in PLAYS if first <= play[0] <= last]
    return {
        "Plays": len(plays),
        "Listeners": len({user for _, user, *_ in plays}),
        "Sessions": len({(user, session) for _, user, session, *_ in plays}),
        "Hours listened": float(len(plays) * LENGTH) / 3600,
        "Match rate": sum(play[4] for play in plays) / len(plays) if plays else None,
        "Paid share": sum(play[3] == "paid" for play in plays) / len(plays) if plays else None,
    }


def figures(world: World, *periods: Period) -> list[HeadlineFigures]:
    with world.warehouse.connect("a test") as engine, engine.begin() as connection:
        plays = first_and_last_play(connection)
        assert plays
        data = Period(plays[0].date(), plays[1].date())
        assert data == period(1, 4)
        return [headline_figures(connection, data, chosen) for chosen in periods]


def test_headline_figures_are_those_of_the_period_the_one_before_and_each_day(world: World) -> None:
    write_plays(world)
    later, first, empty = figures(world, period(3, 4), period(1, 2), period(5, 6))

    assert {figure.name: figure.value for figure in later.headlines} == pytest.approx(expected(3, 4))
    assert {figure.name: figure.before for figure in later.headlines} == pytest.approx(expected(1, 2))
    assert later.before == period(1, 2)
    assert later.series == period(1, 4)
    for number, figure in enumerate(later.headlines):
        by_day = [list(expected(day, day).values())[number] for day in range(1, 5)]
        assert figure.series == pytest.approx(by_day), figure.name
    assert {figure.name: figure.change for figure in later.headlines} == pytest.approx(
        {
            "Plays": 0.5,
            "Listeners": 0.0,
            "Sessions": 0.5,
            "Hours listened": 0.5,
            "Match rate": 4 / 6 - 3 / 4,
            "Paid share": 5 / 6 - 2 / 4,
        }
    )

    # The data does not go back that far, so that there is nothing to compare with.
    assert first.before is None
    assert {figure.before for figure in first.headlines} == {None}
    assert {figure.name: figure.value for figure in first.headlines} == pytest.approx(expected(1, 2))

    assert {figure.name: figure.value for figure in empty.headlines} == expected(5, 6)
    assert {figure.name: figure.before for figure in empty.headlines} == pytest.approx(expected(3, 4))
