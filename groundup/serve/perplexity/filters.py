"""Filters of a search: which passages are searched, by the name of their document and the time at
which its file was last changed.

`search_domain_filter` names documents: a part of the document's place within its source
("boilers/", ".pdf"), with "-" before it those to leave out. A file has no date of publication, so
all date filters mean its last change, in UTC; a document elsewhere has no such time and passes none
of them.
"""

import os
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from groundup.retrieve.passages import Passage
from groundup.retrieve.search import Keep
from groundup.serve.fields import Body

RECENT_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 31.0, "year": 366.0}


def _day(value: object) -> date:
    try:
        return datetime.strptime(str(value), "%m/%d/%Y").date()
    except ValueError:
        raise ValueError("expected a day as MM/DD/YYYY") from None


Day = Annotated[date, BeforeValidator(_day)]


class SearchFilters(Body):
    """The fields of filters, which chats, searches and the tool `web_search` have."""

    search_domain_filter: Annotated[list[str], Field(max_length=100)] = []
    search_after_date_filter: Day | None = None
    search_before_date_filter: Day | None = None
    last_updated_after_filter: Day | None = None
    last_updated_before_filter: Day | None = None
    search_recency_filter: Literal["hour", "day", "week", "month", "year"] | None = None

    def keep(self) -> Keep:
        """Return which passages are searched: of each document the best one, where these fields
        allow it.
        """
        seen: set[int] = set()
        now = datetime.now(UTC)

        def keep(passage: Passage) -> bool:
            if passage.document_id in seen or not self.allows(passage, now):
                return False
            seen.add(passage.document_id)
            return True

        return keep

    def allows(self, passage: Passage, now: datetime) -> bool:
        name = passage.document.lower()
        given = [each.lower() for each in self.search_domain_filter]
        wanted = [each for each in given if not each.startswith("-")]
        unwanted = [each[1:] for each in given if len(each) > 1 and each.startswith("-")]
        named = any(each in name for each in wanted) or not wanted
        if not named or any(each in name for each in unwanted):
            return False
        return self._is_in_time(passage, now)

    def _is_in_time(self, passage: Passage, now: datetime) -> bool:
        after = list(filter(None, (self.search_after_date_filter, self.last_updated_after_filter)))
        before = list(
            filter(None, (self.search_before_date_filter, self.last_updated_before_filter))
        )
        recent = self.search_recency_filter
        if not (after or before or recent):
            return True
        changed = changed_at(passage)
        if changed is None or (recent and now - changed > timedelta(days=RECENT_DAYS[recent])):
            return False
        day = changed.date()
        return all(day > each for each in after) and all(day < each for each in before)


def changed_at(passage: Passage) -> datetime | None:
    """Return when the file of a passage was last changed; None for one that is not on this disk, or
    whose time is no date.
    """
    if not os.path.isabs(passage.file):
        return None
    try:
        return datetime.fromtimestamp(os.stat(passage.file).st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None
