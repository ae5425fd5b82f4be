"""The simulated sources that the benchmarks load. Each is written once into the folder of a benchmark."""

import json
import subprocess
from datetime import date, timedelta
from pathlib import Path

from workplace import ROOT, SPARKIFY

FIRST_DAY = date(2018, 11, 1)
MONTH_DAYS = 30
# A day of middling size.
COPIED_DAY = date(2018, 11, 14)


def simulate(out: Path, *, users: int, songs: int, days: int = MONTH_DAYS, start: date = FIRST_DAY) -> Path:
    if not out.exists():
        command = [SPARKIFY, "simulate", "--out", str(out), "--users", str(users), "--songs", str(songs)]
        subprocess.run([*command, "--days", str(days), "--start", str(start), "--seed", "1"], check=True, cwd=ROOT)
    return out


def month(folder: Path) -> Path:
    """Returns a source of 8,000 events in 30 days."""
    return simulate(folder / "month", users=100, songs=400)


def million(folder: Path) -> Path:
    """Returns a source of 1,000,000 events in 30 days, and of 15,000 songs."""
    return simulate(folder / "million", users=12_800, songs=15_000)


def many_days(folder: Path, days: int) -> Path:
    """Returns a source whose days are copies of one day of the million's: 38,000 events per day."""
    source, template = folder / f"days-{days}", million(folder)
    if not source.exists():
        lines = log_file(template, COPIED_DAY).read_text("utf-8").splitlines()
        write_days(source, FIRST_DAY, days, lines, COPIED_DAY)
        (source / "song_data").symlink_to(template / "song_data")
    return source


def log_file(source: Path, day: date) -> Path:
    return source / "log_data" / f"{day:%Y/%m}" / f"{day}-events.json"


def write_days(source: Path, first: date, days: int, lines: list[str], of: date) -> None:
    """Writes the lines once per day, shifted to that day."""
    events = [json.loads(line) for line in lines]
    for number in range(days):
        day = first + timedelta(days=number)
        shift = (day - of).days * 86_400_000
        path = log_file(source, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(json.dumps({**event, "ts": event["ts"] + shift}) for event in events), "utf-8")
