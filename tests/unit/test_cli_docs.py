"""The reference pages list what there is: every setting, every command."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from sintonia.cli.program import app
from sintonia.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_under_its_own_name() -> None:
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(documented) == sorted(Settings.model_fields)
    for name in re.findall(r"`SINTONIA_(\w+)` \|", page):
        assert name.lower() in Settings.model_fields


def test_defaults_of_settings_are_as_documented() -> None:
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    for name, default in re.findall(r"^\| `(\w+)` \| `\w+` \| `([\w.]+)` \|", page, re.MULTILINE):
        actual = Settings.model_fields[name].default
        if isinstance(actual, bool):
            assert default == str(actual).lower(), name
        else:
            assert (float(default) == actual) if isinstance(actual, int | float) else (default == actual), name


def test_every_command_is_documented() -> None:
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `sintonia ([a-z-]+(?: [a-z-]+)?)", page, re.MULTILINE))
    assert documented == set(_commands())


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def _commands() -> list[str]:
    root = typer.main.get_command(app)
    found = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [f"{name} {sub}" for sub in inner] if inner else [name]
    return found
