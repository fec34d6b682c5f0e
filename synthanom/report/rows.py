"""Which rows of many are looked at: evenly spread, the same every time."""


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` rows, each in the middle of its share of them."""
    taken = min(count, most)
    return [(2 * k + 1) * count // (2 * taken) for k in range(taken)]
