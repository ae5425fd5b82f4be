"""Days as dirty as days are, loaded by real commands: Dagster's history, its alerts and the report name no listener.

Every byte of the storage, of the compute logs, of what the commands print, of what the webhook is sent and of the
report's page is searched for each listener's first name, last name, location and browser.
"""

import base64
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import dagster as dg
import pytest

from sparkify_dagster.automation import failure_alerts
from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.support.events import event, song
from sparkify_dagster_tests.support.project import ROOT, Project
from sparkify_dagster_tests.support.servers.postgres import PostgresServer
from sparkify_dagster_tests.support.world import World

DAYS = [f"2018-11-{number:02}" for number in range(1, 13)]
# Such as no code, no word and no other data has.
LISTENERS = [
    {
        "userId": str(number),
        "firstName": first,
        "lastName": last,
        "location": location,
        "userAgent": f'"{browser}/5.0 (X11; {first}x86)"',
    }
    for number, (first, last, location, browser) in enumerate(
        [
            ("Quizzelda", "Vornbrackt", "Zzyzxville-Plonk, QX", "Blorbfox"),
            ("Zoëlindra", "O'Grumblix", "Fjørdwick-Øst, QY", "Snarfari"),
            ("Wumpelina", 'D"Quackenbos', "Ploverton [bold]Springs[/bold], QZ", "Gizmozilla"),
        ],
        start=70_001,
    )
]
# What to look for: of the browsers just the name, which is in nothing else.
NEEDLES = [
    part
    for person in LISTENERS
    for part in (person["firstName"], person["lastName"], person["location"], person["userAgent"][1:].partition("/")[0])
]
HEADER = """-- What cannot be answered?
--
-- Asked by: The tests.
--
-- Columns:
"""
# Its error quotes a name.
NAMES_AS_NUMBERS = f"""{HEADER}--   number  BIGINT  Number
SELECT CAST(u.first_name AS BIGINT) AS number
FROM users AS u
"""
# It shows people in text, and would draw them.
BROWSERS = f"""{HEADER}--   browser  VARCHAR(1024)  Browser
--   who      VARCHAR(1024)  Somebody
--   plays    BIGINT         Plays
--
-- Chart: bar of plays by browser
SELECT
    p.user_agent AS browser,
    MAX(u.first_name || ' ' || u.last_name) AS who,
    COUNT(*) AS plays
FROM songplays AS p
INNER JOIN users AS u ON p.user_id = u.user_id
GROUP BY p.user_agent
"""


@pytest.fixture(params=["duckdb", "postgres", "redshift"])
def project(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one query more, of whose queries none declares that a column groups people."""
    project = Project(tmp_path)
    project.use(tmp_path, days=len(DAYS))
    project.write_report()
    shutil.copytree(ROOT / "sparkify_dagster", tmp_path / "sparkify_dagster")
    add_query(project, "browsers", BROWSERS)
    areas = tmp_path / "sparkify_dagster" / "sql" / "analytics" / "plays_by_area.sql"
    declared = areas.read_text("utf-8")
    assert "-- Groups people: location\n" in declared
    areas.write_text(declared.replace("-- Groups people: location\n", ""), "utf-8")
    project.environment |= {
        # Before the package that is installed.
        "PYTHONPATH": str(tmp_path),
        "SPARKIFY_EXPECTED_RESULTS": str(tmp_path / "expected"),
    }
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        project.environment["SPARKIFY_WAREHOUSE"] = postgres.new_database()
    if request.param == "redshift":
        servers: RedshiftServers = request.getfixturevalue("redshift_servers")
        servers.login(monkeypatch)
        warehouse = servers()
        project.environment["SPARKIFY_WAREHOUSE"] = warehouse.address
        project.environment["SPARKIFY_COPY_STAGING"] = str(warehouse.copy_staging)
    return project


def add_query(project: Project, name: str, sql: str) -> None:
    folder = project.folder / "sparkify_dagster" / "sql" / "analytics"
    (folder / f"{name}.sql").write_text(sql, "utf-8")


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()


def write_days(world: World) -> None:
    for number, day in enumerate(DAYS):
        plays = [
            event(time=f"{day}T10:0{second}:00", sessionId=number, itemInSession=second, **person)
            for second, person in enumerate(LISTENERS)
        ]
        world.write_log(day, *plays, *_dirt(day) if number in (3, 7) else ())
    person = LISTENERS[0]
    names = " ".join(person.values())
    # Rejected: more broken lines than are allowed.
    world.write_log(DAYS[9], event(time=f"{DAYS[9]}T10:00:00", **person), *[f"{n} {names}" for n in range(120)])
    world.write_songs("A/A/A/TRAAA.json", song())
    # A line of a log among the songs.
    world.write_songs("A/A/B/TRAAB.json", json.dumps(event(**person)), names)
    expected = ["user_id,first_name,last_name,level,plays,sessions,days,hours"]
    expected += [f'{p["userId"]},{p["lastName"]},"{p["location"]}",free,12,12,12,0.82' for p in LISTENERS[:2]]
    world.write("expected/most_active_users.csv", "\n".join(expected).encode())
    # Without its first line, the names of the columns.
    world.write("expected/level_changes.csv", f"{person['firstName']},{person['lastName']}\n".encode())
    world.write("expected/browsers.csv", f"browser,who,plays\nx,{person['firstName']},{person['lastName']}\n".encode())


def _dirt(day: str) -> Iterator[str | bytes]:
    """Names in columns of another kind, and lines that are broken in many ways."""
    for number, person in enumerate(LISTENERS, start=10):
        good = event(time=f"{day}T11:00:00", sessionId=number, itemInSession=number, **person)
        name, last, place, browser = (person[key] for key in ("firstName", "lastName", "location", "userAgent"))
        for wrong in (
            {"userId": name},
            {"itemInSession": last},
            {"sessionId": f"{name} {last}"},
            {"ts": place},
            {"status": browser},
            {"length": [name, last]},
            {"registration": f" {last}"},
            {"page": {"first": name, "last": last}},
            {"auth": f"{name} {place} {browser}" * 3},
            {"firstName": [name]},
            {"lastName": f"{last}\x00"},
            {"location": place * 100},
            {"userAgent": {"of": browser}},
        ):
            yield json.dumps(good | wrong, ensure_ascii=False)
        line = json.dumps(good, ensure_ascii=False)
        yield line[:-20]
        yield line + line
        yield f"{name};{last};{place};{browser}"
        yield f'["{name}", "{last}"]'
        yield line.encode() + b"\xff"
        yield f'{{"firstName": "{name}\\x{last}"}}'
        # A key twice loads; on the way there DuckDB quotes the line.
        yield f'{{"firstName": "{name}", {line[1:]}'


def stored_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder, and of its databases the values too, since these may go over several pages of a file."""
    contents = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        contents[str(path.relative_to(folder))] = path.read_bytes()
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as connection:
                tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                rows = [row for (table,) in tables for row in connection.execute(f'SELECT * FROM "{table}"')]
            values = b"\n".join(str(value).encode() for row in rows for value in row)
            pictures = re.findall(rb"base64,([A-Za-z0-9+/]+=*)", values)
            contents[f"values of {path.name}"] = b"\n".join([values, *map(base64.b64decode, pictures)])
    return contents


def spellings(needle: str) -> set[bytes]:
    """A text as it is, and as JSON has it once and twice."""
    once = json.dumps(needle)[1:-1]
    return {needle.encode(), once.encode(), json.dumps(once)[1:-1].encode()}


def hits(contents: Mapping[str, bytes]) -> list[str]:
    """Returns the places that name each listener."""
    found = []
    for name, text in contents.items():
        for needle in NEEDLES:
            for spelling in spellings(needle):
                if (place := text.find(spelling)) >= 0:
                    found.append(f"{needle} in {name}: {text[max(0, place - 200) : place + 40]!r}")
                    break
    return found


def outputs_of_two_runs(project: Project) -> Iterator[str]:
    """Yields the output of `etl`, then of a run with a query that fails."""
    yield project.sparkify("etl", expect=1)
    add_query(project, "names_as_numbers", NAMES_AS_NUMBERS)
    project.world.write_log(DAYS[3], *_dirt(DAYS[3]))
    first, last = DAYS[2:4]
    if "SPARKIFY_WAREHOUSE" in project.environment:
        yield project.sparkify("etl", "--from", first, "--to", last, expect=1)
    else:
        # As a run of the UI, with all that Dagster itself logs: the same as on a server.
        yield project.run("dg", "launch", "--job", "load_all", "--partition-range", f"{first}...{last}", expect=1)


@pytest.mark.slow
def test_no_history_log_alert_or_report_names_a_listener(
    project: Project, webhook: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = project.world
    write_days(world)
    url, bodies = webhook
    monkeypatch.setenv("SPARKIFY_ALERT_WEBHOOK", url)
    with project.instance() as instance:
        before = failure_alerts.failure_alerts.evaluate_tick(dg.build_sensor_context(instance))
    printed = dict(zip(("etl", "failed"), outputs_of_two_runs(project), strict=True))
    with project.instance() as instance:
        after = failure_alerts.failure_alerts.evaluate_tick(dg.build_sensor_context(instance, cursor=before.cursor))
    printed["skip message"] = after.skip_message or ""

    # All of it happened.
    assert "staging_events.no_load_errors" in printed["etl"]
    assert "staging_events.no_rejected_loads" in printed["etl"]
    # Folded into one line, since a day is not loaded.
    assert re.search(
        r"WARN: matches_expected: .*, since not all of the source is loaded: .*1 rejected day", printed["etl"]
    )
    assert "query names_as_numbers (names_as_numbers.sql) failed: " in printed["failed"]
    assert [
        b"no_rejected_loads" in body and b"matches_expected" in body and b"names_as_" in body for body in bodies
    ] == [True]
    stored = stored_in(project.folder / ".sparkify" / "dagster")
    assert any(b"STEP_FAILURE" in content for content in stored.values())
    assert any(b"first_name differs, last_name differs" in content for content in stored.values())
    assert any(name.endswith(".err") for name in stored) or "SPARKIFY_WAREHOUSE" in project.environment
    # The warehouse holds them all, and a terminal shows the lines.
    shown = project.call("load-errors") + project.sparkify("query", "browsers", "--format", "json")
    assert all(any(s.decode() in shown for s in spellings(needle)) for needle in NEEDLES if "[" not in needle)

    report = (project.folder / ".sparkify" / "report.html").read_text("utf-8")
    assert '<article aria-labelledby="browsers">' in report
    # A text is written as HTML has it, and in charts as JSON in HTML.
    texts = {"report": unescape(report), "charts": report.replace("\\u0027", "'").replace("\\u0026", "&")}
    contents = {name: text.encode() for name, text in (printed | texts).items()} | stored
    assert hits(contents | {f"webhook {number}": body for number, body in enumerate(bodies)}) == []
