"""Figures and tables."""

import statistics


def median(values):
    """The median, to the millisecond; `None` of nothing."""
    values = [value for value in values if value is not None]
    return round(statistics.median(values), 3) if values else None


def percentile(values, share):
    """The value below which this share of all values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def table(head, rows):
    """Lines in columns: the first one to the left, the others to the right."""
    texts = [[cell if isinstance(cell, str) else "-" if cell is None else f"{cell:.2f}" for cell in row] for row in rows]
    widths = [max(len(line[at]) for line in [head, *texts]) for at in range(len(head))]
    for line in [head, *texts]:
        first, *others = line
        print("  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]).rstrip())
