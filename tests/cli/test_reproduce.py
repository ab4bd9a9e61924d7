"""`normdsl reproduce`: it runs, goes on, and shows what a folder has."""

from commands import normdsl


def test_reproduce_runs_and_goes_on_and_shows(tmp_path):
    asked = ("reproduce", "scale", "--folder", str(tmp_path), "--steps", "1", "--seeds", "1")
    first = normdsl(*asked, "--only", "^sign_sgd$", "--page", str(tmp_path / "page.md"))
    assert first.code == 0
    assert "Linear classifiers in other units: Wine" in first.told
    assert "best is sign_sgd" in first.told
    written = (tmp_path / "scale.jsonl").read_bytes()
    assert written.count(b"\n") == 1 + 12 * 11
    assert (tmp_path / "scale.png").stat().st_size > 10_000
    assert "| sign_sgd | no |" in (tmp_path / "page.md").read_text()
    assert normdsl(*asked, "--only", "^sign_sgd$").told == first.told
    assert (tmp_path / "scale.jsonl").read_bytes() == written


def test_reproduce_refuses_what_it_does_not_know(tmp_path):
    for asked, told in (
        (("scales",), "there is no experiment of that name"),
        (("scale", "--only", "("), "it is no regular expression"),
        (("scale", "--only", "zebra"), "no method does"),
    ):
        done = normdsl("reproduce", *asked, "--folder", str(tmp_path))
        assert (done.code, told in done.complaint) == (2, True)
        assert not list(tmp_path.iterdir())
