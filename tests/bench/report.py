"""The table of a run, and its place in docs/benchmarks.md."""

import datetime
import os

from target import NAMES

COLUMNS = (("bare", "bare TLS client"), ("sternpost", "Sternpost"), ("postfix", "Postfix"),
           ("exim", "Exim"), ("nginx", "nginx, plain text"))
PEERS = ("bare", "postfix", "exim", "nginx")
BEGIN, END = "<!-- written by tests/bench/run --write -->", "<!-- end -->"
LEGEND = """\
Messages: messages a second · CPU seconds of the program per 1,000 messages · handshakes per message
(full, and after + resumed). Latency: p50 (p99) in milliseconds. Memory: MB, proportional set size
of all processes. The columns "to …" compare Sternpost with the others in the same row: rate to
rate, memory to memory, and for latency what it adds (p50, p99). The last column says what the row
is to reach."""


def _handshakes(figures):
    full, resumed = figures["full"], figures["resumed"]
    return f"{full:.2f}" + (f" + {resumed:.2f}" if resumed >= 0.005 else "")


def _rate(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _throughput(figures):
    cpu = figures["cpu"]
    return f"{_rate(figures['rate'])} · {cpu:.{3 if cpu < 0.1 else 2}f} · {_handshakes(figures)}"


def _ratio(mine, other):
    value = mine / other if other else 0
    return f"{value:.{2 if value < 10 else 0}f} ×"


def _latency(prefix):
    def cell(figures):
        p50, p99 = figures.get(prefix + "p50"), figures.get(prefix + "p99")
        return None if p50 is None else f"{p50:.2f} ({p99:.2f})"

    def compare(mine, other):
        if other.get(prefix + "p50") is None:
            return "–"
        return (f"{mine[prefix + 'p50'] - other[prefix + 'p50']:+.2f} "
                f"({mine[prefix + 'p99'] - other[prefix + 'p99']:+.2f})")
    return cell, compare


def _plain(key, places=None):
    def cell(figures):
        value = figures[key]
        return f"{value:,.{(1 if value < 100 else 0) if places is None else places}f}"
    return cell


def _by(key):
    return lambda mine, other: _ratio(mine[key], other[key])


def _rows(item, relays):
    """(title, figures that it shows, cell, compare) of each table row that an item makes."""
    figures = next(iter(relays.values()))
    if "rate" in figures:
        yield item.title, ("rate", "cpu"), _throughput, _by("rate")
    elif "plan_us" in figures:
        title = f"{item.title}, µs · allocations (libunbound: {figures['libunbound_us']:.0f} µs)"
        yield (title, ("plan_us", "allocations"),
               lambda f: f"{f['plan_us']:.1f} · {f['allocations']:.1f}", None)
    elif getattr(item, "ratios", ()):
        for key in figures:
            yield f"{item.title}: {key}", (key,), lambda f, k=key: _ratio(f[k], 1), None
    elif "start" in figures:
        yield item.title + ": start, s", ("start",), _plain("start", 2), _by("start")
        yield item.title + ": memory", ("memory",), _plain("memory"), _by("memory")
    elif "memory" in figures:
        yield item.title, ("memory",), _plain("memory"), _by("memory")
    else:
        yield (item.title + ": to the reply", ("p50", "p99"), *_latency(""))
        yield (item.title + ": to the MX", ("mx_p50", "mx_p99"), *_latency("mx_"))


def _targets(item, shown, relays):
    texts = [x.text(relays) for x in item.targets if x.figure in shown]
    return "; ".join(x for x in texts if x) or "–"


def _lines(item, relays, errors):
    """The table rows of an item, as lists of cells."""
    for title, shown, cell, compare in _rows(item, relays):
        line = [title]
        for kind, _ in COLUMNS:
            failed = (item.name, kind) in errors
            line.append("failed" if failed else
                        (cell(relays[kind]) if kind in relays else None) or "–")
        for kind in PEERS:
            both = kind in relays and "sternpost" in relays
            line.append(compare(relays["sternpost"], relays[kind]) if both else "–")
        yield line + [_targets(item, shown, relays)]


def table(items, medians, errors):
    """The table, as Markdown with aligned columns. errors: {(item name, kind): why}."""
    lines = [["work", *(title for _, title in COLUMNS), *(f"to {NAMES[x]}" for x in PEERS),
              "to reach"]]
    for item in items:
        relays = {k: v for k, v in medians.get(item.name, {}).items()
                  if (item.name, k) not in errors}
        if relays:
            lines += _lines(item, relays, errors)
        elif any(name == item.name for name, _ in errors):
            lines.append([item.title, *("failed" if (item.name, kind) in errors else "–"
                                        for kind, _ in COLUMNS), *("–" for _ in PEERS), "–"])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * w for w in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |"
                     for line in lines) + "\n"


def facts(known):
    """When, where, how."""
    now = datetime.datetime.now(datetime.timezone.utc)
    lines = [f"{now:%Y-%m-%d %H:%M} UTC, `{known['command'].strip()}`: "
             f"{known['rounds']} rounds, {known['seconds']:.0f} s.",
             *(f"{line}." for line in known["machine"]),
             f"Load average before: {known['load_before']:.2f}; used by others meanwhile: "
             f"{known['others']:.0%} of the machine."]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def write(path, text, known):
    """Puts the table between the marks in the document, which may lack them."""
    old = f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            old = file.read()
    if BEGIN not in old or END not in old:
        old = old.rstrip("\n") + f"\n\n{BEGIN}\n{END}\n"
    head, rest = old.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n{facts(known)}\n{text}\n{LEGEND}\n{END}{tail}")
