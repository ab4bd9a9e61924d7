"""Every page of the repository is in the table of contents, once."""

from collections import Counter

from website import contents


def test_every_page_is_in_one_chapter():
    listed = Counter(x for pages in contents.chapters().values() for x in pages)
    found = [*contents.ROOT.glob("docs/*.md"), *contents.ROOT.glob("tutorials/*.ipynb")]
    there = {str(p.relative_to(contents.ROOT).with_suffix("")) for p in found}
    assert there
    assert there - set(listed) == set()
    assert set(listed.values()) == {1}
    assert not [x for x in listed if "*" in x]
