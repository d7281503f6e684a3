"""Links in the documentation that lead nowhere."""

from tools import links


def test_a_link_to_nothing_is_named(tmp_path):
    page = tmp_path / "README.md"
    (tmp_path / "there.md").write_text("# A Heading, with `code`\n\n## Second\n")
    page.write_text(
        "[good](there.md) [also](there.md#a-heading-with-code) [here](#top) ![picture](missing.png)\n"
        "[gone](gone.md) [far](https://example.org/x) `[not a link](nowhere.md)`\n"
        "```\n[nor this](nowhere.md)\n```\n# Top\n[no heading](there.md#third)\n[ref]: gone-too.md\n"
    )
    assert [sentence.partition(": ")[2] for sentence in links.broken_links(page)] == [
        "missing.png does not exist",
        "gone.md does not exist",
        "there.md#third has no such heading",
        "gone-too.md does not exist",
    ]
