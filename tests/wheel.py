"""Build a wheel and check that it holds the whole package and runs outside the repository."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import normdsl as nd
assert {target!r} in nd.__file__, nd.__file__
rule = nd.algorithms.muadam_sania
print(nd.__version__, rule.check(nd.groups.scale).answer)
assert rule.source(shape=(2, 3))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (wheel,) = Path(folder).glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        sources = {
            f"normdsl/{path.relative_to(ROOT / prefix)}"
            if prefix == "normdsl"
            else f"normdsl/{path.relative_to(ROOT)}"
            for prefix in ("normdsl", "compiler", "algorithms")
            for path in (ROOT / prefix).rglob("*.py")
        }
        missing = sorted(s for s in sources if s not in names)
        assert not missing, f"the wheel lacks {missing}"
        assert "normdsl/py.typed" in names
        target = Path(folder) / "site"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel],
            check=True,
        )
        code = f"import sys; sys.path.insert(0, {str(target)!r})" + PROGRAM.format(
            target=str(target)
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)


if __name__ == "__main__":
    main()
