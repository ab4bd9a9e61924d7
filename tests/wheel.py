"""Install the package elsewhere, from a checkout and from one without symbolic links, and run it.

On Windows git writes a symbolic link as a file that holds its target; such a checkout must work
once it is installed, from a wheel and in place.
"""

import shutil
import site
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("normdsl", "compiler", "algorithms", "benchmarks")
PROGRAM = """
import normdsl as nd
assert {target!r} in nd.__file__, nd.__file__
rule = nd.algorithms.muadam_sania
print(nd.__version__, rule.check(nd.groups.scale).answer)
assert rule.source(shape=(2, 3))
from normdsl.benchmarks.bench import contestants
assert contestants()
"""


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, **options)


def without_links(folder):
    """Return a copy of what is installed, each symbolic link a file that holds its target."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for link in [path for path in folder.rglob("*") if path.is_symlink()]:
        target = link.readlink()
        link.unlink()
        link.write_text(str(target))
    return folder


def check_wheel(checkout, folder):
    """Build a wheel of a checkout, and see that it has all sources and runs outside."""
    run(
        sys.executable, "-m", "build", "--wheel", "--outdir", folder, checkout,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(
            path.relative_to(ROOT) if name == "normdsl" else Path("normdsl", path.relative_to(ROOT))
        )
        for name in FOLDERS
        for path in (ROOT / name).rglob("*.*")
        if path.suffix in (".py", ".pyi", ".js")
    }
    missing = sorted({*sources, "normdsl/py.typed"} - names)
    assert not missing, f"the wheel lacks {missing}"
    target = folder / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel)
    code = f"import sys; sys.path.insert(0, {str(target)!r})" + PROGRAM.format(target=str(target))
    run(sys.executable, "-c", code, cwd=folder)


def check_in_place(checkout, folder):
    """Install a checkout in place, in an environment of its own, and see that it runs."""
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv" / "lib").glob("*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "-q", "--no-deps", "-e", checkout)
    run(python, "-c", PROGRAM.format(target=str(checkout)), cwd=folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, linkless, copy = (Path(folder, name) for name in ("plain", "linkless", "copy"))
        for path in (plain, linkless, copy):
            path.mkdir()
        check_wheel(ROOT, plain)
        check_wheel(without_links(copy), linkless)
        check_in_place(copy, linkless)


if __name__ == "__main__":
    main()
