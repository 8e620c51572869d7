#!/usr/bin/env python3
"""docs/performance.json, as the bench wrote it, to the table and the picture.

usage: benches/report.py          writes docs/performance.svg and the table
       benches/report.py --check  fails when either is not of that file
"""

import json
import pathlib
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
LEFT, SCALE, BAR, GAP = 260, 90, 14, 8


def rows(runs):
    """Of each run its tier, and its rows with their ratio to bare."""
    for run in runs:
        measured = run["latency"]["microseconds"]
        bare = measured[0]
        yield run, [(row, row["p50"] / bare["p50"], row["p99"] / bare["p99"]) for row in measured]


def table(runs):
    lines = ["| | p50 | p90 | p99 | p50, of bare | p99, of bare |", "|---|---|---|---|---|---|"]
    for run, measured in rows(runs):
        lines.append(f"| **tier {run['tier']}** | | | | | |")
        for row, p50, p99 in measured:
            cells = [f"{row[key]:.0f}" for key in ("p50", "p90", "p99")]
            lines.append(f"| {row['what']} | {' | '.join(cells)} | {p50:.2f} | {p99:.2f} |")
    lines += ["", "| | " + " | ".join(run["tier"] for run in runs) + " |"]
    lines.append("|---|" + "---|" * len(runs))

    def line(what, value):
        lines.append(f"| {what} | " + " | ".join(value(run) for run in runs) + " |")

    rate, stream = "throughput", "stream"
    line("16 clients, commands a second, bare", lambda r: f"{r[rate]['bare_per_second']:.0f}")
    line("16 clients, jailed", lambda r: f"{r[rate]['jailed_per_second']:.0f} ({100 * r[rate]['jailed_per_second'] / r[rate]['bare_per_second']:.0f} %)")
    line("1 GiB of output, MiB/s, bare", lambda r: f"{r[stream]['bare_mib_per_second']:.0f}")
    line("1 GiB of output, jailed", lambda r: f"{r[stream]['jailed_mib_per_second']:.0f} ({100 * r[stream]['jailed_mib_per_second'] / r[stream]['bare_mib_per_second']:.0f} %)")
    line("`strongroom run` to the agent's first instruction", lambda r: f"{r['start_ms']:.0f} ms")
    for name in ("supervisor", "broker", "recorder", "worker"):
        line(f"resident (proportional), {name}", lambda r: f"{r['latency']['resident_kib'][f'strongroom-{name}'] / 1024:.1f} MiB")
    return "\n".join(lines) + "\n"


def picture(runs):
    bars, y = [], 24
    text = '<text x="{}" y="{}" text-anchor="{}">{}</text>'
    for run, measured in rows(runs):
        bars.append(text.format(8, y, "start", f"tier {run['tier']}: how many times a bare command"))
        y += 12
        for row, p50, p99 in measured:
            colour = "#888" if row["key"] == "bare" else "#c60" if row["key"] == "bubblewrap" else "#06c"
            bars.append(text.format(LEFT - 8, y + BAR - 3, "end", row["what"].replace("`", "")))
            bars.append(f'<rect x="{LEFT}" y="{y + 5}" width="{p99 * SCALE:.0f}" height="4" fill="{colour}" opacity="0.35"/>')
            bars.append(f'<rect x="{LEFT}" y="{y}" width="{p50 * SCALE:.0f}" height="{BAR}" fill="{colour}" opacity="0.8"/>')
            bars.append(text.format(LEFT + max(p50, p99) * SCALE + 6, y + BAR - 3, "start", f"{p50:.2f}"))
            y += BAR + GAP
        y += 22
    bars.append(text.format(8, y, "start", "Bar: half of the commands took no longer. Thin line: 99 of 100."))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {y + 12}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *bars, "</svg>"]) + "\n"


def main():
    runs = json.loads((DOCS / "performance.json").read_text())
    page = (DOCS / "performance.md").read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    wanted = {
        DOCS / "performance.md": before + BEGIN + table(runs) + END + after,
        DOCS / "performance.svg": picture(runs),
    }
    if sys.argv[1:] == ["--check"]:
        stale = [path.name for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
        if stale:
            sys.exit(f"not of docs/performance.json: {', '.join(stale)}; run benches/report.py")
        return
    for path, text in wanted.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
