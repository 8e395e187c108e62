"""Read the pages that reports write."""

from __future__ import annotations

import base64
import html.parser

import cv2
import numpy as np


class Page(html.parser.HTMLParser):
    """All tags with their attributes, texts, and the tags that were not closed."""

    EMPTY = ("meta", "img", "source")

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def check_loads_nothing(text):
    """The page is complete, loads nothing, runs nothing, and shows the text of a script as text."""
    page = Page(text)
    assert page.open == []
    assert "http:" not in text
    assert "https:" not in text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "a", "i"}
    addresses = [value for _, tag in page.tags for key, value in tag.items() if key in ("src", "srcset")]
    assert all(address.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for address in addresses)
    (policy,) = [tag["content"] for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert any("<script>alert(1)</script>" in words for words in page.texts), "shown as text"


def decode(url):
    """A PNG image of a page."""
    kind, content = url.split(",", 1)
    assert kind == "data:image/png;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(content, validate=True), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image
