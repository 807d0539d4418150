"""The table, for people."""

from collections import Counter

from . import compare

WIDTH = 34


def head(builders):
    """The names of the columns; with two builders, our part of the other's figures at the end."""
    columns = "".join(f"{'plan ms':>9}{'cold s':>8}{'warm s':>8}{'MB':>7}  {one.name:<9}" for one in builders)
    ratios = f"{'plan ÷':>7}{'cold ÷':>7}{'warm ÷':>7}{'MB ÷':>7}" if len(builders) > 1 else ""
    return f"{'example':<{WIDTH}}{columns}{ratios}"


def line(results, example, builders):
    """A row: each builder's numbers and verdict, then the reasons."""
    found = {one.builder: one for one in results if one.example == example}
    row, reasons = f"{example:<{WIDTH}}", []
    for builder in builders:
        one = found[builder.name]
        row += f"{shown(one.plan_ms):>9}{shown(one.cold_s):>8}{shown(one.warm_s):>8}{shown(one.image_mb, 0):>7}  {one.verdict:<9}"
        if one.why:
            reasons.append(one.why if builder.counts_manifest else f"{builder.name}: {one.why}")
        if builder.counts_manifest and one.verdict == "passed" and not one.changed and one.warm_s is not None:
            reasons.append("warm: nothing was changed")
    ratios = compare.ratios(results, example) if len(builders) > 1 else ""
    return f"{row}{ratios} {'; '.join(reasons)}".rstrip()


def sums(results, builders):
    """How many of which verdict, all together and by language; the means of those that passed."""
    lines = [""]
    for builder in builders:
        own = [one for one in results if one.builder == builder.name]
        passed = [one for one in own if one.verdict == "passed" and one.cold_s is not None]
        counts = Counter(one.verdict for one in own)
        words = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
        lines.append(f"{builder.name}: {words or 'nothing'}")
        if passed:
            means = [sum(getattr(one, name) for one in passed) / len(passed) for name in ("plan_ms", "cold_s", "warm_s", "image_mb")]
            lines.append("  mean of what passed: plan {:.1f} ms, cold {:.1f} s, warm {:.1f} s, image {:.0f} MB".format(*means))
            roots = [one.example for one in passed if one.user in ("", "0", "root")]
            lines.append(f"  run as root: {', '.join(roots) or 'none'}")
        languages = {}
        for one in own:
            languages.setdefault(one.example.split("-")[0], Counter())[one.verdict] += 1
        for language, verdicts in sorted(languages.items()):
            lines.append(f"  {language:<12} " + ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items())))
    return "\n".join(lines)


def shown(value, digits=1):
    """A number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
