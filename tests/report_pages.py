"""What every report must be like, found by parsing its HTML."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "wbr", "col", "area", "base", "embed", "source", "track"}
REFERENCES = {
    "src",
    "href",
    "xlink:href",
    "srcset",
    "action",
    "formaction",
    "poster",
    "data",
    "background",
    "cite",
    "ping",
}
FORBIDDEN_TAGS = {"iframe", "object", "embed", "base", "form", "audio", "video"}
FORBIDDEN_TEXT = ("@import", "fetch(", "XMLHttpRequest", "url(http", "WebSocket", "sendBeacon", "import(")


class Parsed(HTMLParser):
    """A page: its tags in order, its ids, its text, and what is wrong with it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.problems: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self._open]
        self._judge(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        names = [name for name, _ in attrs]
        self.problems += [f"<{tag}> has {name} twice" for name in names if names.count(name) > 1]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes another tag, line {self.getpos()[0]}")

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def _judge(self, html: str) -> None:
        ids = self.ids
        self.problems += [f"id {name} is there twice" for name in set(ids) if ids.count(name) > 1]
        self.problems += [f"{text} in the page" for text in FORBIDDEN_TEXT if text in html]
        for tag, attributes in self.tags:
            if tag in FORBIDDEN_TAGS:
                self.problems.append(f"<{tag}>")
            self.problems += [f"<{tag} {name}>" for name in attributes if name.startswith("on")]
            for name in REFERENCES & attributes.keys():
                value = attributes[name] or ""
                if value.startswith("#"):
                    if value[1:] not in ids:
                        self.problems.append(f"{value} leads nowhere")
                elif not value.startswith("data:"):
                    self.problems.append(f"<{tag} {name}={value[:40]}> is outside the page")
            if tag == "img" and not attributes.get("alt"):
                self.problems.append("a picture without alt text")
            if tag == "svg" and "viewbox" in attributes and not {"aria-hidden", "aria-label"} & attributes.keys():
                self.problems.append("a drawing that is neither named nor hidden")


def strip_heights(html: str) -> list[int]:
    """Height in pixels of every picture in the page."""
    import base64
    import struct

    heights = []
    for attributes in Parsed(html).named("img"):
        png = base64.b64decode(str(attributes["src"]).removeprefix("data:image/png;base64,"))
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        heights.append(struct.unpack(">II", png[16:24])[1])
    return heights
