"""An HTML page in parts, for tests of what it holds."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """The tags of a page with their attributes, the text outside of scripts and styles, and what is in its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.data: dict[str, Any] = {}  # JSON by the chart that it is of
        self._inside = ""
        self._texts: list[str] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("script", "style"):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        attributes = self.tags[-1][1] if self.tags else {}
        if self._inside != "script":
            self._texts += [data] * (self._inside == "")
        elif attributes.get("type") == "application/json":
            self.data[attributes["data-chart"]] = json.loads(data)
        else:
            self.scripts.append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each element of a name."""
        return [attributes for name, attributes in self.tags if name == tag]
