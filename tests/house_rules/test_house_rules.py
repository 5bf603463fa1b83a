"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from sintonia.settings import TOML_ONLY, Settings

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "sintonia"
MODULES = sorted(SOURCE.rglob("*.py"))
# Folders that set-up and tools make.
MADE = {".venv", ".cache", "node_modules", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache",
        ".import_linter_cache", ".hypothesis", "build"}  # fmt: skip
TORCH_ROOMS = ("training", "inference", "modeling")


def room(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def name(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def tracked_files() -> list[Path]:
    """What git tracks or would; everything in the folder where there is no git."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode == 0:
        files = [ROOT / part for part in listing.stdout.split("\0") if part]
    else:
        files = [file for file in ROOT.rglob("*") if not MADE & {*file.relative_to(ROOT).parts}]
    return [file for file in files if file.is_file()]


def test_no_module_is_too_long() -> None:
    lengths = {name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {file: lines for file, lines in lengths.items() if lines > 500} == {}


def test_every_module_says_what_it_is_for() -> None:
    empty_allowed = {file for file in MODULES if file.name == "__init__.py" and not file.read_text().strip()}
    assert [name(file) for file in MODULES if file not in empty_allowed and not ast.get_docstring(tree(file))] == []


def test_no_room_for_leftovers() -> None:
    banned = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc"}
    assert [name(file) for file in MODULES if {*file.relative_to(SOURCE).parts, file.stem} & banned] == []


def test_only_settings_read_the_environment() -> None:
    found = []
    for file in MODULES:
        if file == SOURCE / "settings.py":
            continue
        module = tree(file)
        # {**os.environ, …} hands the environment to a child process, os.environ[…] = … tells a library: no reading.
        not_read = {
            value
            for node in ast.walk(module)
            if isinstance(node, ast.Dict)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is None
        } | {
            node.value
            for node in ast.walk(module)
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        }
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                reads = node.attr in ("getenv", "getenvb", "environb")
                if reads or (node.attr == "environ" and node not in not_read):
                    found.append(f"{name(file)}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                found += [f"{name(file)}:{node.lineno}" for item in node.names if "env" in item.name]
    assert found == []


def test_the_control_plane_logs_and_does_not_print() -> None:
    # The command line talks to people; processes of their own (python -m …) write their output into their logs.
    found = [
        f"{name(file)}:{node.lineno}"
        for file in MODULES
        if room(file) not in ("cli", *TORCH_ROOMS) and file.name != "__main__.py"
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


def test_the_settings_page_is_complete_and_says_the_defaults() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|", page, re.MULTILINE)
    assert [key for key, _, _ in rows] == list(Settings.model_fields)
    for key, variable, default in rows:
        assert variable == ("–" if key in TOML_ONLY else f"`SINTONIA_{key.upper()}`")
        field = Settings.model_fields[key]
        if field.default is not None and not field.default_factory:
            told = default.strip("`")
            actual = str(field.default).lower() if isinstance(field.default, bool) else field.default
            assert told == (f"{actual:g}" if isinstance(actual, float) else str(actual)), key


_AFTER_IMPORT = """
import sys
import sintonia.app
heavy = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "transformers", "peft", "safetensors"})
status = open("/proc/self/status").read() if sys.platform == "linux" else "VmRSS: 0 kB"
print(",".join(heavy), status.split("VmRSS:")[1].split()[0])
"""


def test_the_control_plane_is_light() -> None:
    """It loads no torch, and its code alone stays far below the 150 MB that an idle server may take."""
    done = subprocess.run([sys.executable, "-c", _AFTER_IMPORT], capture_output=True, text=True, check=True)
    heavy, _, kibibytes = done.stdout.rstrip("\n").rpartition(" ")
    print(f"memory after importing sintonia.app: {int(kibibytes) / 1024:.0f} MiB")
    assert heavy == ""
    assert int(kibibytes) < 150_000


def test_the_papers_of_the_house_are_there() -> None:
    papers = ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "constraints.txt", ".ci/run"]
    papers += ["docs/tutorial.md", "docs/reference/settings.md", "docs/explanation/architecture.md"]
    assert [paper for paper in papers if not (ROOT / paper).is_file()] == []
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_nothing_names_a_machine() -> None:
    """Absolute paths of somebody's machine work nowhere else."""
    machine = re.compile(rb"(?<![\w.\-/])/(?:root|work|home/[a-z]|Users/[a-z])[/\w]")
    found = []
    for file in tracked_files():
        if file == Path(__file__):
            continue
        for number, line in enumerate(file.read_bytes().splitlines(), start=1):
            if machine.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}")
    assert found == []


def test_what_is_shipped_is_in_the_package() -> None:
    """Data beside the modules is found by the patterns of pyproject.toml, or users would miss it."""
    import tomllib

    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["sintonia"]
    shipped = {file for pattern in patterns for file in SOURCE.glob(pattern)}
    data = [
        file for file in tracked_files() if file.is_relative_to(SOURCE) and file.suffix != ".py" and file not in shipped
    ]
    # The template of new migrations is for developers only.
    assert [name(file) for file in data if file.name != "script.py.mako"] == []
