"""What a row is to reach: a figure of Sternpost, by itself or as a ratio to another's."""

from dataclasses import dataclass

NAMES = {"bare": "bare", "postfix": "Postfix", "exim": "Exim", "nginx": "nginx"}
WORDS = {"cpu": "CPU ", "p99": "p99 ", "mx_p99": "p99 "}


@dataclass(frozen=True)
class Target:
    """`figure` of Sternpost is to be between `least` and `most` times `of`'s, or by itself.

    of: the kind of a relay measured in the same row; another figure of Sternpost's own that `name`
    gives words for; None: an absolute figure in `unit`.
    """

    figure: str
    least: float = None
    most: float = None
    of: str = None
    name: str = ""
    unit: str = ""

    def _value(self, relays):
        mine = relays.get("sternpost", {}).get(self.figure)
        if mine is None or self.of is None:
            return mine
        other = relays.get(self.of if self.of in NAMES else "sternpost", {}).get(
            self.figure if self.of in NAMES else self.of)
        return mine / other if other else None

    def text(self, relays):
        """"≥ 15 × Postfix: reached"; None where it was not measured."""
        value = self._value(relays)
        if value is None:
            return None
        good = (self.least is None or value >= self.least) and \
            (self.most is None or value <= self.most)
        if self.least is not None and self.most is not None:
            bounds = f"{self.least:g}–{self.most:g}"
        else:
            bounds = f"≤ {self.most:g}" if self.least is None else f"≥ {self.least:g}"
        behind = f" × {NAMES.get(self.of, self.name)}" if self.of else self.unit and " " + self.unit
        return f"{WORDS.get(self.figure, '')}{bounds}{behind}: {'reached' if good else 'missed'}"
