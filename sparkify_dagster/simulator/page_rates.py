"""Rates at which listeners go from page to page, by login state and level.

The pages are those of eventsim's full configurations. Sessions are as long as in the real month, which has no thumbs,
playlists, friends, adverts, guests and cancellations: their rates are about those of Sparkify's churn data set, 286,500
events of two months. Guests register and listeners leave more often per event than there, so that a month shows some.
"""

from typing import Final

LOGGED_IN: Final = "Logged In"
LOGGED_OUT: Final = "Logged Out"
GUEST: Final = "Guest"
CANCELLED: Final = "Cancelled"
FREE: Final = "free"
PAID: Final = "paid"
NEXT_SONG: Final = "NextSong"
SUBMIT_REGISTRATION: Final = "Submit Registration"
CANCELLATION_CONFIRMATION: Final = "Cancellation Confirmation"

Rates = dict[str, float]

# Page -> next page -> probability; the remainder to 1 is the probability that the session ends.
_FREE_PAGES: Final[dict[str, Rates]] = {
    NEXT_SONG: {
        NEXT_SONG: 0.33,
        "Roll Advert": 0.08,
        "Thumbs Up": 0.05,
        "Add to Playlist": 0.025,
        "Home": 0.02,
        "Logout": 0.02,
        "Add Friend": 0.015,
        "Thumbs Down": 0.012,
        "Upgrade": 0.01,
        "Help": 0.005,
        "Settings": 0.005,
        "About": 0.002,
        "Error": 0.001,
    },
    "Home": {
        NEXT_SONG: 0.58,
        "Settings": 0.02,
        "Add Friend": 0.02,
        "Home": 0.015,
        "Upgrade": 0.01,
        "Logout": 0.01,
        "About": 0.002,
        "Help": 0.002,
        "Error": 0.001,
    },
    "Roll Advert": {NEXT_SONG: 0.88, "Upgrade": 0.02, "Roll Advert": 0.02, "Logout": 0.01, "Cancel": 0.005},
    "Thumbs Up": {NEXT_SONG: 0.9, "Add to Playlist": 0.06, "Error": 0.001},
    "Thumbs Down": {NEXT_SONG: 0.9, "Logout": 0.01, "Cancel": 0.004, "Error": 0.001},
    "Add to Playlist": {NEXT_SONG: 0.93, "Thumbs Up": 0.01, "Help": 0.01, "Upgrade": 0.01},
    "Add Friend": {NEXT_SONG: 0.5, "Add Friend": 0.2, "Home": 0.1, "Settings": 0.05, "Help": 0.01, "Error": 0.001},
    "Upgrade": {"Submit Upgrade": 0.3, NEXT_SONG: 0.25, "Home": 0.1, "Upgrade": 0.05, "Help": 0.05},
    "Settings": {
        NEXT_SONG: 0.3,
        "Save Settings": 0.2,
        "Home": 0.1,
        "Settings": 0.1,
        "Help": 0.05,
        "Cancel": 0.03,
        "Upgrade": 0.01,
    },
    "Help": {NEXT_SONG: 0.3, "Home": 0.2, "Help": 0.1, "Settings": 0.05, "Logout": 0.01},
    "About": {NEXT_SONG: 0.3, "Home": 0.2, "About": 0.05, "Logout": 0.01},
    "Error": {NEXT_SONG: 0.3, "Home": 0.4, "Error": 0.05},
    "Save Settings": {"Home": 1.0},
}
_PAID_PAGES: Final[dict[str, Rates]] = {
    NEXT_SONG: {
        NEXT_SONG: 0.818,
        "Thumbs Up": 0.055,
        "Add to Playlist": 0.026,
        "Home": 0.02,
        "Add Friend": 0.015,
        "Thumbs Down": 0.011,
        "Downgrade": 0.009,
        "Logout": 0.007,
        "Help": 0.006,
        "Settings": 0.006,
        "About": 0.003,
        "Roll Advert": 0.001,
        "Error": 0.001,
    },
    "Home": {
        NEXT_SONG: 0.83,
        "Settings": 0.03,
        "Add Friend": 0.02,
        "Home": 0.015,
        "Logout": 0.015,
        "Downgrade": 0.01,
        "About": 0.005,
        "Help": 0.005,
        "Error": 0.001,
    },
    "Roll Advert": {NEXT_SONG: 0.8, "Logout": 0.1, "Downgrade": 0.05, "Roll Advert": 0.02, "Cancel": 0.005},
    "Thumbs Up": {NEXT_SONG: 0.9, "Add to Playlist": 0.07, "Error": 0.001},
    "Thumbs Down": {NEXT_SONG: 0.9, "Help": 0.03, "Downgrade": 0.02, "Settings": 0.02, "Cancel": 0.004, "Error": 0.001},
    "Add to Playlist": {NEXT_SONG: 0.95, "Thumbs Up": 0.01},
    "Add Friend": {NEXT_SONG: 0.7, "Add Friend": 0.25, "Logout": 0.01, "Error": 0.001},
    "Downgrade": {
        NEXT_SONG: 0.6,
        "Home": 0.2,
        "Downgrade": 0.05,
        "Submit Downgrade": 0.04,
        "Help": 0.02,
        "Cancel": 0.015,
    },
    "Settings": {
        NEXT_SONG: 0.6,
        "Save Settings": 0.12,
        "Home": 0.08,
        "Settings": 0.08,
        "Help": 0.03,
        "Cancel": 0.03,
        "Logout": 0.01,
    },
    "Help": {NEXT_SONG: 0.75, "Home": 0.1, "Help": 0.08, "Settings": 0.02},
    "About": {NEXT_SONG: 0.4, "Home": 0.3, "About": 0.05},
    "Error": {NEXT_SONG: 0.4, "Home": 0.4, "Error": 0.05},
    "Save Settings": {"Home": 1.0},
}
_LOGGED_OUT_PAGES: Final[dict[str, Rates]] = {
    "Home": {"Login": 0.3, "Home": 0.15, "About": 0.08, "Help": 0.02, "Error": 0.001},
    "About": {"Login": 0.2, "Home": 0.3, "About": 0.03},
    "Help": {"Login": 0.25, "Home": 0.2, "Help": 0.05},
    "Error": {"Login": 0.1, "Home": 0.5, "Error": 0.05},
}
_GUEST_PAGES: Final[dict[str, Rates]] = {
    "Home": {"Register": 0.3, "About": 0.15, "Help": 0.1, "Home": 0.1, "Error": 0.001},
    "Register": {SUBMIT_REGISTRATION: 0.5, "Home": 0.2, "Help": 0.1, "About": 0.05, "Register": 0.05},
    "About": {"Home": 0.5, "Register": 0.15, "Help": 0.1, "About": 0.05},
    "Help": {"Home": 0.5, "Register": 0.15, "Help": 0.1},
    "Error": {"Home": 0.7, "Error": 0.1},
}
_CANCELLED_PAGES: Final[dict[str, Rates]] = {CANCELLATION_CONFIRMATION: {}}
PAGES: Final = {
    (LOGGED_IN, FREE): _FREE_PAGES,
    (LOGGED_IN, PAID): _PAID_PAGES,
    (LOGGED_OUT, FREE): _LOGGED_OUT_PAGES,
    (LOGGED_OUT, PAID): _LOGGED_OUT_PAGES,
    (GUEST, FREE): _GUEST_PAGES,
    (CANCELLED, FREE): _CANCELLED_PAGES,
    (CANCELLED, PAID): _CANCELLED_PAGES,
}
FIRST_PAGES: Final[dict[tuple[str, str], Rates]] = {
    (LOGGED_IN, FREE): {NEXT_SONG: 1500, "Home": 1000, "Help": 10, "About": 5, "Error": 1},
    (LOGGED_IN, PAID): {NEXT_SONG: 1750, "Home": 1000, "Help": 5, "About": 5, "Error": 1},
    (LOGGED_OUT, FREE): {"Home": 1000, "Login": 500, "About": 10, "Help": 10, "Error": 1},
    (LOGGED_OUT, PAID): {"Home": 1000, "Login": 500, "About": 10, "Help": 10, "Error": 1},
    (GUEST, FREE): {"Home": 100, "Register": 30, "About": 20, "Help": 10, "Error": 1},
}
