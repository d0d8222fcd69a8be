"""How far two words are from one another in their spelling."""


def is_within(first: str, second: str, most: int) -> bool:
    """Whether the optimal string alignment distance of two words is at most `most`.

    >>> is_within("acommodtion", "accommodation", 2), is_within("window", "winter", 2)
    (True, False)
    """
    if abs(len(first) - len(second)) > most:
        return False
    before: list[int] = []
    row = list(range(len(second) + 1))
    for place, letter in enumerate(first, start=1):
        older, before, row = before, row, [place]
        for at, other in enumerate(second, start=1):
            cost = min(row[-1] + 1, before[at] + 1, before[at - 1] + (letter != other))
            is_swap = (
                at > 1 and place > 1 and letter == second[at - 2] and first[place - 2] == other
            )
            if is_swap:
                cost = min(cost, older[at - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return False
    return row[-1] <= most
