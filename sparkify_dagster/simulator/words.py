"""Invented names of artists, songs and places, from common words in several languages."""

# A literal list would put each word on a line of its own.
# ruff: noqa: SIM905

import random
from typing import Final

from sparkify_dagster.simulator.draws import chance, pick

_ADJECTIVES: Final = (
    "Blue Silent Broken Golden Electric Lonely Velvet Wild Distant Crimson Empty Midnight Hollow Gentle Restless "
    "Northern Faded Burning Secret Paper Silver Endless Crooked Winter Summer Hidden Sleeping Plastic Sacred Tiny "
    "Frozen Neon Dusty Bitter Tender Ancient Foolish Concrete Lucky Savage"
).split()
_NOUNS: Final = (
    "River Heart Train Mirror Highway Garden Shadow Ocean Window Fire Letter Moon Stranger Island Clock Bridge Station "
    "Lantern Angel Wolf Harbor Ghost Sparrow Machine Desert Crown Signal Thunder Diamond Orchard Compass Rain Engine "
    "Carnival Feather Valley Horizon Anchor Kite Cathedral Lighthouse Avenue Mountain Raven Marble Circus"
).split()
_VERBS: Final = "Hold Leave Follow Remember Forgive Carry Watch Burn Call Wake Miss Save Break Forget Chase".split()
_OBJECTS: Final = (
    "Me",
    "You",
    "The Night",
    "My Name",
    "Tomorrow",
    "The Radio",
    "It All",
    "Us",
    "The Line",
    "What's Left",
    "Her Smile",
    "The City Down",
)
_FOREIGN_TITLES: Final = (
    "Corazón",
    "Mañana",
    "Canción De Otoño",
    "Été Indien",
    "Où Vas-Tu",
    "Über Den Dächern",
    "Schöne Grüße",
    "Coração Vadio",
    "São João",
    "Fjällvisa",
    "Håll Mig Nära",
    "Þögn",
    "Smør Og Brød",
    "Perché No",
    "¿Dónde Estás?",
    "Ça Va Bien",
    "Voilà",
    "Déjà Vu",
    "Noche Sin Sueño",
    "Żółty Liść",
    "Tři Růže",
    "Gönül Dağı",
)
_SUFFIXES: Final = (
    "(Album Version)",
    "(LP Version)",
    "(Live)",
    "(Remix)",
    "(Acoustic)",
    "(2005 Digital Remaster)",
    "(Explicit)",
    "[Live At The Old Mill]",
    "(Radio Edit)",
)
_FOREIGN_ARTISTS: Final = (
    "Björgvin Þór",
    "Sigurrós Trio",
    "Café Müller",
    "Zoë Lindström",
    "Los Ángeles Perdidos",
    "Françoise Lefèvre",
    "Håkan Sjöberg",
    "Märta Åkerlöf",
    "José Núñez",
    "Orquesta Corazón",
    "Søren Kjær",
    "Motörblitz",
    "Mônica Gonçalves",
    "Übertön",
    "Chœur De L'Été",
    "Jiří Kovář",
    "Wójcik & Żak",
)
_GROUPS: Final = "Trio Quartet Orchestra Brothers Sisters Collective Project Band Choir Sound System Club".split()
_GIVEN_NAMES: Final = (
    "Alma Bonnie Cleo Darla Edith Faye Gloria Hazel Ivy June Loretta Mabel Nell Opal Pearl Rita Stella Thelma Una "
    "Wanda Abel Barney Cecil Dewey Earl Floyd Gus Homer Irving Jasper Lester Milton Ned Otis Percy Roscoe Silas Tobias "
    "Virgil Wendell"
).split()
_FAMILY_NAMES: Final = (
    "Abbot Birdsong Calloway Dupree Eastman Fairweather Gentry Hartwell Ingram Jessup Kingsley Lovelace Merriweather "
    "Nightingale Oakes Pettigrew Quimby Ravenel Sparks Thackeray Underhill Vandermeer Whitlock Yarrow Ashdown Bellamy "
    "Crane Darling Everly Foxworth Goodnight Holloway Ironside Kettle Lark Moonlight Norwood Osgood Primrose Rook"
).split()

Place = tuple[str, float, float]
_PLACES: Final[tuple[Place, ...]] = (
    ("New York, NY", 40.71455, -74.00712),
    ("Los Angeles, CA", 34.05349, -118.24532),
    ("California - SF", 37.77916, -122.42005),
    ("Chicago, IL", 41.88415, -87.63241),
    ("Nashville, TN", 36.16778, -86.77836),
    ("Austin, TX", 30.26759, -97.74299),
    ("Memphis, TN", 35.14968, -90.04892),
    ("London, England", 51.50632, -0.12714),
    ("Manchester, England", 53.4796, -2.24881),
    ("Glasgow, Scotland", 55.8578, -4.24251),
    ("Toronto, Ontario, Canada", 43.64856, -79.38533),
    ("Montréal, Québec", 45.51228, -73.55439),
    ("Paris, France", 48.85692, 2.34121),
    ("Köln, Germany", 50.94168, 6.95517),
    ("Göteborg, Sweden", 57.70133, 11.96689),
    ("Reykjavík, Iceland", 64.14550, -21.89541),
    ("São Paulo, Brazil", -23.56287, -46.65468),
    ("Bogotá, Colombia", 4.65637, -74.11779),
    ("Melbourne, Victoria, Australia", -37.81753, 144.96715),
    ("Tokyo, Japan", 35.67048, 139.74092),
    ("Ohio", 40.19033, -82.66947),
    ("Hamtramck, MI", 42.39553, -83.05639),
    ("Brooklyn, NY [Red Hook]", 40.65507, -73.94888),
    ("Lagos, Nigeria", 6.45306, 3.39583),
)


def artist_name(rng: random.Random, foreign: bool) -> str:
    """A name for a person or a group; a foreign one has characters outside ASCII."""
    if foreign:
        name = pick(rng, _FOREIGN_ARTISTS)
        return f"{name} {pick(rng, _GROUPS)}" if chance(rng, 0.3) else name
    form = int(rng.random() * 6)
    if form == 0:
        return f"The {pick(rng, _ADJECTIVES)} {pick(rng, _NOUNS)}s"
    if form == 1:
        return f"{pick(rng, _GIVEN_NAMES)} {pick(rng, _FAMILY_NAMES)}"
    if form == 2:
        return f"{pick(rng, _GIVEN_NAMES)} {pick(rng, _FAMILY_NAMES)} {pick(rng, _GROUPS)}"
    if form == 3:
        return f"{pick(rng, _GIVEN_NAMES)} & The {pick(rng, _ADJECTIVES)} {pick(rng, _NOUNS)}s"
    if form == 4:
        return f"{pick(rng, _ADJECTIVES)} {pick(rng, _NOUNS)} {pick(rng, _GROUPS)}"
    return f"DJ {pick(rng, _NOUNS)} {pick(rng, _FAMILY_NAMES)}"


def title(rng: random.Random, foreign: bool) -> str:
    """A song's title, now and then with the quotes, slashes and "_" for "," of the real ones."""
    form = int(rng.random() * 8)
    if foreign:
        text = pick(rng, _FOREIGN_TITLES)
    elif form <= 1:
        text = f"{pick(rng, _ADJECTIVES)} {pick(rng, _NOUNS)}"
    elif form == 2:
        text = f"The {pick(rng, _NOUNS)} And The {pick(rng, _NOUNS)}"
    elif form == 3:
        text = f"{pick(rng, _NOUNS)} In The {pick(rng, _NOUNS)}"
    elif form == 4:
        text = f"{pick(rng, _VERBS)} {pick(rng, _OBJECTS)}"
    elif form == 5:
        text = f"Don't {pick(rng, _VERBS)} {pick(rng, _OBJECTS)}"
    elif form == 6:
        text = f"{pick(rng, _VERBS)} The {pick(rng, _ADJECTIVES)} {pick(rng, _NOUNS)}"
    else:
        text = f"{pick(rng, _NOUNS)}_ {pick(rng, _NOUNS)}"
    if chance(rng, 0.004):
        text = f'{text} (From "{pick(rng, _ADJECTIVES)} {pick(rng, _NOUNS)}")'
    elif chance(rng, 0.004):
        text = f"{text} / {pick(rng, _VERBS)} {pick(rng, _OBJECTS)}"
    return f"{text} {pick(rng, _SUFFIXES)}" if chance(rng, 0.15) else text


def place(rng: random.Random) -> Place:
    """A place with its latitude and longitude in degrees."""
    return pick(rng, _PLACES)
