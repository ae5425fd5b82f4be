"""Words for what people read."""


def count(number: int, noun: str) -> str:
    """ "1 day", "2,000 days"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
