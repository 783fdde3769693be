"""Whatever isn't markup is escaped."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from hwzo.report.markup import Markup, element, facts, join, markup, paragraph, table

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


class Seen(HTMLParser):
    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str):
        self.text += data


@given(TEXT)
def test_text_comes_through_and_never_as_a_tag(text: str):
    seen = Seen(paragraph(text))
    assert seen.tags == [("p", {})]
    assert seen.text == text


@given(TEXT, TEXT)
def test_attributes_come_through(text: str, value: str):
    seen = Seen(element("a", text, class_=value))
    assert seen.tags == [("a", {"class": value})]
    assert seen.text == text


@given(TEXT, TEXT)
def test_tables_escape_names_and_values(name: str, value: str):
    assert [tag for tag, _ in Seen(facts([(name, value)])).tags] == ["table", "tbody", "tr", "th", "td"]
    cells = [attributes for tag, attributes in Seen(table((name,), [(value,)])).tags if tag == "td"]
    assert cells == [{"data-name": name}]


def test_markup_is_left_alone():
    assert markup(Markup("<b>x</b>")) == "<b>x</b>"
    assert join([Markup("<i>"), "<i>"], " ") == "<i> &lt;i&gt;"
