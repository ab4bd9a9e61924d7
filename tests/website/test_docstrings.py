"""Docstrings as Markdown: formulas stay formulas, arguments are told apart, examples are code."""

from website import docstrings

DOC = """Return ‖x‖_* of *all* entries, a[i] < b[j], as `|x_ij|`.

Args:
    x: an m×n expression. limit: c, as in
        two lines: not an argument. other: none of them.

Raises:
    ShapeError: if x is `a*b*c`.
    RuntimeError: never.

Example:
    >>> 1 * 2 * 3
    6
"""


def test_marks_of_formulas_are_escaped_and_those_in_code_are_not():
    head = docstrings.page(DOC).partition("\n")[0]
    assert head == r"Return ‖x‖\_\* of \*all\* entries, a\[i\] \< b\[j\], as `|x_ij|`."


def test_arguments_that_share_a_line_are_told_apart_by_their_names():
    lines = docstrings.page(DOC, ["x", "limit"]).splitlines()
    assert ":param x: an m×n expression." in lines
    assert ":param limit: c, as in two lines: not an argument. other: none of them." in lines


def test_errors_that_are_public_are_named_as_users_write_them():
    text = docstrings.page(DOC)
    assert ":raises nd.ShapeError: if x is `a*b*c`." in text
    assert ":raises RuntimeError: never." in text


def test_an_example_is_code_as_it_stands():
    assert docstrings.page(DOC).endswith("```pycon\n>>> 1 * 2 * 3\n6\n```")


def test_a_bar_ends_no_cell_of_a_table():
    assert docstrings.cell("|x|, `|x|`\nand y") == r"\|x\|, `\|x\|` and y"
