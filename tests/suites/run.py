"""Run the suites of others against our optimizers, and write what came of it to docs/suites.md.

Sdists are downloaded to a temporary folder outside the repository and run there. Fails if a test
fails that is not in the table of expected.py, passes though it is, or an entry has no test.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import attrs

from suites.expected import TABLE, expected
from suites.ours import RULES
from suites.results import results

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "suites.md"
HEAD = """# Suites of others

Made by `make suites`. Each suite is given a class that steps matrices by the rule, and the rest by
AdamW. *Expected* is what we refuse or do otherwise, for the reason below: if such a test passes, it
counts as failed. *Skipped* are foreach variants, which we do not have.
"""


@attrs.frozen
class Suite:
    """A suite.

    Args:
        title: its name. sdist: where it is from; none for tests of our own.
        plugin: what enters our optimizers. tests: what of it to run.
    """

    title: str
    sdist: str
    plugin: str
    tests: str


SUITES = (
    Suite("torch's harness", "", "", "tests/suites"),
    Suite("pytorch_optimizer", "pytorch_optimizer==4.1.0", "suites.in_pytorch_optimizer", "tests"),
    Suite("timm", "timm==1.0.31", "suites.in_timm", "tests/test_optim.py"),
)


def unpacked(sdist, folder):
    """Download an sdist and return where it lies unpacked."""
    package = sdist.split("==")[0]
    call = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    subprocess.run([*call, "--no-binary", package, sdist], check=True)
    (archive,) = Path(folder).glob(f"{package}-*.tar.gz")
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", folder], check=True)
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def run(suite, folder):
    """Run a suite and return its results."""
    where = unpacked(suite.sdist, folder) if suite.sdist else ROOT
    report = Path(folder) / f"{suite.plugin}.xml"
    plugin = ["-o", "addopts=", "-p", suite.plugin] if suite.plugin else []
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "-k", "ours", f"--junitxml={report}"]
    subprocess.run(
        [*command, suite.tests],
        cwd=where,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    return results(report)


def table(found):
    """Return the counts, a row for each suite and rule."""
    lines = [
        "| suite | rule | passed | expected | skipped | failed |",
        "| --- " * 2 + "| --: " * 4 + "|",
    ]
    for suite in SUITES:
        for rule in RULES:
            counts = Counter(r.outcome for r in found[suite.title] if r.rule == rule)
            numbers = [counts[o] for o in ("passed", "expected", "skipped", "failed")]
            name = f"{suite.title} {suite.sdist.partition('==')[2]}".strip()
            lines.append(f"| {name} | `{rule}` | " + " | ".join(map(str, numbers)) + " |")
    return lines


def document(found):
    """Return the text of docs/suites.md."""
    reasons = [
        f"| `{e.test}` | {'all' if len(e.rules) == len(RULES) else ', '.join(e.rules)} "
        f"| `{e.raises.__name__}` | {e.reason} |"
        for e in TABLE
    ]
    head = ["| test | rules | error | reason |", "| --- | --- | --- | --- |"]
    return "\n".join([HEAD, *table(found), "", *head, *reasons, ""])


def unused(found):
    """Return the entries of the table that no test was marked by."""
    marked = [e for rs in found.values() for r in rs for e in expected(r.test)]
    return [e for e in TABLE if e not in marked]


def main():
    found = {}
    for suite in SUITES:
        with tempfile.TemporaryDirectory() as folder:
            found[suite.title] = run(suite, folder)
    DOCUMENT.write_text(document(found))
    failed = [r for rs in found.values() for r in rs if r.outcome == "failed"]
    empty = [s.title for s in SUITES if not {r.rule for r in found[s.title]} >= set(RULES)]
    for what in (failed, unused(found), empty):
        if what:
            print(*what, sep="\n", file=sys.stderr)
    return bool(failed or unused(found) or empty)


if __name__ == "__main__":
    sys.exit(main())
