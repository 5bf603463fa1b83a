"""Which names of a bucket a page of a list shows; knows names alone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sintonia.errors import InvalidArgument
from sintonia.storage.globs import compile_glob


@dataclass(frozen=True, order=True)
class Item:
    """An object's name or a prefix that others were rolled up into; ordered as a list shows them."""

    text: str
    is_object: bool


@dataclass(frozen=True)
class Selection:
    """What a list is asked for. Source: the method ``objects.list`` of Cloud Storage.

    Names that have ``delimiter`` behind ``prefix`` are rolled up into prefixes that end with it;
    ``include_trailing_delimiter`` shows those that end there as objects, too. ``start_offset`` is the first name that
    may be shown, ``end_offset`` the first that may not be, any more.
    """

    prefix: str = ""
    delimiter: str | None = None
    start_offset: str | None = None
    end_offset: str | None = None
    include_trailing_delimiter: bool = False
    match_glob: str | None = None

    def items(self, names: Iterable[str], page_token: str | None) -> Iterator[Item]:
        """In order, those behind the token's.

        Python orders text by code points, which is the order of its UTF-8 bytes.

        Raises InvalidArgument for a token that no page gave, or a glob that cannot be read.
        """
        after = read_token(page_token)
        glob = compile_glob(self.match_glob) if self.match_glob else None
        if glob and self.delimiter not in (None, "/"):
            raise InvalidArgument(f"Invalid value for delimiter: '{self.delimiter}'; with matchGlob it must be '/'.")
        rolled = ""
        for name in sorted(self._within(names, after)):
            prefix = self._roll_up(name)
            found = []
            if prefix is None or (self.include_trailing_delimiter and name == prefix):
                found.append(Item(name, True))
            if prefix is not None and prefix != rolled:
                rolled = prefix
                found.insert(0, Item(prefix, False))
            for item in found:
                if (after is None or item > after) and (glob is None or glob.fullmatch(item.text)):
                    yield item

    def _within(self, names: Iterable[str], after: Item | None) -> Iterator[str]:
        first = max(self.start_offset or "", after.text if after else "")
        for name in names:
            if name >= first and name.startswith(self.prefix) and not (self.end_offset and name >= self.end_offset):
                yield name

    def _roll_up(self, name: str) -> str | None:
        if not self.delimiter:
            return None
        at = name.find(self.delimiter, len(self.prefix))
        return None if at < 0 else name[: at + len(self.delimiter)]


def write_token(item: Item) -> str:
    return base64.urlsafe_b64encode(f"{'o' if item.is_object else 'p'}{item.text}".encode()).decode()


def read_token(token: str | None) -> Item | None:
    """Raises InvalidArgument for a token that no page gave."""
    if not token:
        return None
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        text = ""
    if text[:1] not in {"o", "p"}:
        raise InvalidArgument(f"Invalid value for pageToken: '{token}'; use a nextPageToken as it was given.")
    return Item(text[1:], text[0] == "o")
