"""The year that a conversation's dates are of, and its day where that was said."""

from __future__ import annotations

import re
from collections import Counter

from specflow.prediction.dates import iso_date
from specflow.prediction.predictor import HistoryItem

MAX_SAID = 20_000
"""Characters of a message that are looked at."""
# Its first character stands in front, so that everything else is skipped quickly.
_ISO = re.compile(r"(1(?<!\d1)9\d\d|2(?<!\d2)0\d\d)-\d\d-\d\d(?!\d)")
_TODAY = re.compile(r"(?:today|current (?:date|time|day)|now is)[^\n]{0,40}?(\d{4}-\d\d-\d\d)", re.IGNORECASE)


class Calendar:
    """Told of every message. `years` counts those of dates; `today` is ISO text, or empty."""

    __slots__ = ("today", "years")

    def __init__(self, before: Calendar | None = None) -> None:
        self.years: Counter[int] = Counter(before.years if before else ())
        self.today: str = before.today if before else ""

    def take(self, item: HistoryItem) -> None:
        """A message."""
        text = (item.call.result if item.call else item.text)[:MAX_SAID]
        self.years.update(int(match[1]) for match in _ISO.finditer(text))
        if item.call is not None:
            said = (value for value in item.call.args.values() if isinstance(value, str))
            self.years.update(int(value[:4]) for value in said if iso_date(value))
        elif (match := _TODAY.search(text)) and iso_date(match[1]):
            self.today = match[1]

    @property
    def year(self) -> int | None:
        """The year that dates without one are of."""
        if self.today:
            return int(self.today[:4])
        # Births and old bookings are mentioned too: what is asked about is recent.
        often = [year for year, count in self.years.items() if count > 1]
        return max(often or self.years, default=None)
