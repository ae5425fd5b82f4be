"""Measures many song files on an S3 server of this machine: `make benchmark-songs`.

`sparkify etl` as a whole process into a DuckDB file, with a simulated month of log files in a folder beside 400,000
song objects: the first load, nothing new, and ten new songs. Wall time, CPU seconds, and the largest memory of all its
processes together. The server takes CPU of the same machine, which is in the wall time alone.
"""

import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb
from process_cost import Cost, median_cost
from simulated import million, month
from uploads import upload
from workplace import SPARKIFY, Workplace, fresh, run

from sparkify_dagster.config.aws import AwsAccess, s3_store
from sparkify_dagster_tests.support.servers import s3

SONGS, NEW_SONGS = 400_000, 10
BUCKET = "songs"


def songs(folder: Path, rounds: int, count: int = SONGS) -> None:
    catalogue = other_songs(million(folder))
    with tempfile.TemporaryDirectory(prefix="sparkify-songs-") as temporary, s3.serving(Path(temporary)) as server:
        place = fresh(folder / "place-of-songs", month(folder))
        login = {**server.login_variables, "AWS_ENDPOINT_URL_S3": server.url}
        place.environment |= {**login, "SPARKIFY_SONG_DATA": f"s3://{BUCKET}/song_data"}
        os.environ |= login
        server.put(BUCKET, {})
        bucket = s3_store(BUCKET, "song_data", AwsAccess(endpoint_url=server.url))
        upload(bucket, itertools.islice(catalogue, count))
        report("first load", [etl(place, count)])
        nothing, new = [], []
        for _ in range(rounds):
            nothing.append(etl(place, count))
            upload(bucket, itertools.islice(catalogue, NEW_SONGS))
            count += NEW_SONGS
            new.append(etl(place, count))
        report("nothing new", nothing)
        report(f"{NEW_SONGS} new", new)


def other_songs(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yields keys and contents of endless songs: those of the source, and others like them."""
    files = sorted((source / "song_data").rglob("*.json"))
    known = [json.loads(file.read_bytes()) for file in files]
    for number in itertools.count():
        for index, (song, file) in enumerate(zip(known, files, strict=True)):
            title = f"{song['title']} ({number})" if number else song["title"]
            another = {**song, "title": title, "song_id": f"SO{number:06}{index:010}"}
            key = f"{file.parent.relative_to(source / 'song_data')}/{another['song_id']}.json"
            yield key, json.dumps(another).encode()


def etl(place: Workplace, count: int) -> Cost:
    """Loads what is new. Raises SystemExit unless all songs are in the warehouse."""
    cost, _ = place.cost(SPARKIFY, "etl")
    with duckdb.connect(place.folder / ".sparkify" / "warehouse.duckdb", read_only=True) as connection:
        loaded = connection.execute("SELECT count(*) FROM songs").fetchall()
    if loaded != [(count,)]:
        raise SystemExit(f"{loaded[0][0]:,} of {count:,} songs were loaded")
    return cost


def report(what: str, costs: list[Cost]) -> None:
    cost = median_cost(costs)
    print(
        f"{what + ':':<12} {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of CPU, {cost.peak_bytes / 2**20:,.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    run(__doc__, {"songs": songs, "few": partial(songs, count=2_000)})
