"""Ours beside Railpack, over the examples that both pass: ratios, who is ahead where, and the sums."""

from .ours import Ours
from .railpack import Railpack

# What is measured: its name and unit, and how much of a difference is noise (a part of Railpack's figure, and an absolute one; both must be exceeded).
MEASURES = {
    "plan_ms": ("plan", "ms", 0.1, 5.0),
    "cold_s": ("cold build", "s", 0.15, 1.0),
    "warm_s": ("warm build", "s", 0.15, 0.5),
    "image_mb": ("image", "MB", 0.01, 1.0),
}


def pairs(results):
    """Both results of each example, by its name."""
    found = {}
    for one in results:
        found.setdefault(one.example, {})[one.builder] = one
    return {name: (by[Ours.name], by[Railpack.name]) for name, by in found.items() if {Ours.name, Railpack.name} <= set(by)}


def comparable(ours, theirs):
    """Both pass, and both were built."""
    return ours.verdict == theirs.verdict == "passed" and ours.cold_s is not None and theirs.cold_s is not None


def ratios(results, example):
    """Our part of Railpack's figure for each measure of one example, as text."""
    both = pairs(results).get(example)
    if not both or not comparable(*both):
        return "".join(f"{'-':>7}" for _ in MEASURES)
    return "".join(f"{getattr(both[0], name) / max(getattr(both[1], name), 0.1):>7.2f}" for name in MEASURES)


def standing(name, ours, theirs):
    """Whether we are ahead (-1), behind (1), or as good as equal (0)."""
    _, _, part, absolute = MEASURES[name]
    difference = ours - theirs
    if abs(difference) <= max(part * theirs, absolute):
        return 0
    return -1 if difference < 0 else 1


def summary(results):
    """For people: who is ahead on how many examples, the sums, where we are behind, and what was not compared."""
    both = pairs(results)
    compared = {name: pair for name, pair in both.items() if comparable(*pair)}
    load = sum(one.load or 0 for pair in compared.values() for one in pair) / max(2 * len(compared), 1)
    lines = ["", f"compared: {len(compared)} of {len(both)} examples, those that both pass (the machine's load was {load:.1f} at the mean)"]
    behind = []
    for name, (title, unit, part, absolute) in MEASURES.items():
        found = {example: (getattr(ours, name), getattr(theirs, name)) for example, (ours, theirs) in compared.items()}
        stands = {example: standing(name, *pair) for example, pair in found.items()}
        mine, other = sum(pair[0] for pair in found.values()), sum(pair[1] for pair in found.values())
        counts = [sum(1 for value in stands.values() if value == wanted) for wanted in (-1, 0, 1)]
        ratio = f", {mine / other:.2f} of it" if other else ""
        lines.append(
            f"  {title:<11} ahead on {counts[0]}, equal on {counts[1]} (within {part:.0%} or {absolute:g} {unit}), behind on {counts[2]}; "
            f"sum {mine:.1f} {unit} beside {other:.1f}{ratio}"
        )
        behind += [f"  {example}: {title} {found[example][0]:g} {unit} beside {found[example][1]:g}" for example in found if stands[example] == 1]
    lines += ["behind:" if behind else "behind: nowhere", *behind]
    verdicts = {
        "passed by ours alone": [name for name, (a, b) in both.items() if a.verdict == "passed" and b.verdict == "FAILED"],
        "passed by railpack alone": [f"{name} ({a.verdict}: {a.why})" for name, (a, b) in both.items() if b.verdict == "passed" and a.verdict != "passed"],
        "not compared, as Railpack lacks something here": [f"{name} ({b.why})" for name, (a, b) in both.items() if b.verdict == "skipped"],
    }
    lines += [f"{title}: {', '.join(names) or 'none'}" for title, names in verdicts.items()]
    return "\n".join(lines)
