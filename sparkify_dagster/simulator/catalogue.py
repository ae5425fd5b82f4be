"""The simulated songs: those in the catalogue, and those that are played but missing from it."""

import math
import random
from dataclasses import dataclass, replace
from typing import Final

from sparkify_dagster.simulator import words
from sparkify_dagster.simulator.draws import chance, characters, generator, normal, pick

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEXADECIMAL: Final = "0123456789ABCDEF"
_ALPHANUMERIC: Final = _LETTERS + "0123456789"

_NEW_ARTIST_SHARE: Final = 0.45
# Traits depend on a song's rank, not on chance, so that even a small catalogue has them.
_MISSING_EVERY, _MISSING_RANK = 14, 6
_FOREIGN_ARTIST_EVERY, _FOREIGN_ARTIST_RANK = 50, 1
_FOREIGN_TITLE_EVERY, _FOREIGN_TITLE_RANK = 60, 3
_FEATURING_EVERY, _FEATURING_RANK = 12, 5
_BLANK_EVERY, _BLANK_RANK = 150, 11


@dataclass(frozen=True, slots=True)
class Artist:
    """An artist, with the attributes of the Million Song Dataset."""

    artist_id: str
    name: str
    location: str
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class Song:
    """A song, with the texts of its file. The duration is in seconds, with at most five decimals."""

    track_id: str
    song_id: str
    title: str
    artist: Artist
    artist_name: str
    """The artist name on this song: "X feat. Y" for some songs of X."""
    duration: float
    year: int
    """0 if unknown."""
    catalogued: bool
    """False for a song that is played but has no file."""


def catalogue(seed: int, songs: int) -> list[Song]:
    """Returns the given number of songs with a file, and those without one in between, most popular first.

    No two songs have the same title, artist name and duration, trailing blanks aside: a play matches at most one song.
    A larger catalogue with the same seed starts with the smaller one.
    """
    maker = _Maker(seed)
    made: list[Song] = []
    catalogued = 0
    while catalogued < songs:
        song = maker.song(made)
        made.append(song)
        catalogued += song.catalogued
    return made


class _Maker:
    def __init__(self, seed: int) -> None:
        self._rng: Final = generator(seed, "catalogue")
        self._ids: Final[set[str]] = set()
        self._artists: Final[list[Artist]] = []
        self._names: Final[set[str]] = set()
        self._recordings: Final[set[tuple[str, str, float]]] = set()

    def song(self, made: list[Song]) -> Song:
        """Returns the next song after those made so far."""
        rng = self._rng
        rank = len(made)
        catalogued = rank % _MISSING_EVERY != _MISSING_RANK
        if made and chance(rng, 0.01 if catalogued else 0.5):
            # The same song with another length: a join without the duration would match the wrong one.
            draft = replace(pick(rng, made), year=_year(rng), catalogued=catalogued)
        else:
            draft = self._new(rank, catalogued)
        song = replace(
            draft,
            track_id=self._id("TRA", 4, f"128F{characters(rng, _HEXADECIMAL, 7)}"),
            song_id=self._id("SO", 5, f"12{pick(rng, ('A8C13', 'AB018', 'A6D4F'))}{characters(rng, _HEXADECIMAL, 4)}"),
        )
        while self._recorded(song):
            song = replace(song, duration=_duration(rng))
        return song

    def _new(self, rank: int, catalogued: bool) -> Song:
        rng = self._rng
        foreign_artist = rank % _FOREIGN_ARTIST_EVERY == _FOREIGN_ARTIST_RANK
        if not self._artists or foreign_artist or chance(rng, _NEW_ARTIST_SHARE):
            artist = self._artist(foreign_artist)
        else:
            artist = pick(rng, self._artists)
        artist_name = artist.name
        if rank % _FEATURING_EVERY == _FEATURING_RANK:
            artist_name = f"{artist.name} {pick(rng, ('feat.', 'featuring'))} {pick(rng, self._artists).name}"
        title = words.title(rng, foreign=rank % _FOREIGN_TITLE_EVERY == _FOREIGN_TITLE_RANK)
        if rank % _BLANK_EVERY == _BLANK_RANK:
            title += " "
        return Song("", "", title, artist, artist_name, _duration(rng), _year(rng), catalogued)

    def _artist(self, foreign: bool) -> Artist:
        rng = self._rng
        # The search for an unused name may give up: in the real catalogue, too, a few artists share a name.
        for _ in range(5):
            name = words.artist_name(rng, foreign)
            if name not in self._names:
                break
        self._names.add(name)
        location, latitude, longitude = words.place(rng)
        located = chance(rng, 0.45)
        artist = Artist(
            artist_id=self._id("AR", 5, f"1187{pick(rng, ('B9', 'FB'))}{characters(rng, _HEXADECIMAL, 5)}"),
            name=name,
            location=location if located or chance(rng, 0.3) else "",
            latitude=latitude if located else None,
            longitude=longitude if located else None,
        )
        self._artists.append(artist)
        return artist

    def _id(self, prefix: str, letters: int, suffix: str) -> str:
        alphabet = _ALPHANUMERIC if prefix == "AR" else _LETTERS
        while True:
            made = prefix + characters(self._rng, alphabet, letters) + suffix
            if made not in self._ids:
                self._ids.add(made)
                return made

    def _recorded(self, song: Song) -> bool:
        recording = (song.title.rstrip(" "), song.artist_name.rstrip(" "), song.duration)
        if recording in self._recordings:
            return True
        self._recordings.add(recording)
        return False


def _duration(rng: random.Random) -> float:
    if chance(rng, 0.03):
        return round(20.0 + 60.0 * rng.random(), 5)
    return round(min(1_800.0, max(30.0, 235.0 * math.exp(0.33 * normal(rng)))), 5)


def _year(rng: random.Random) -> int:
    return 0 if chance(rng, 0.53) else 2010 - int(55 * rng.random() ** 2)
