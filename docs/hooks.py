"""What the site takes from the code while it is built: the settings, and the pages of help of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from evonas.cli import app
from evonas.config import SPACE_SETTINGS, OwnSpaceSettings, Settings


def on_page_markdown(markdown: str, **about: Any) -> str:
    """mkdocs calls it for each page: `{{ settings }}` and `{{ commands }}` become what they say."""
    for name, made in (("settings", settings), ("commands", commands)):
        mark = f"{{{{ {name} }}}}"
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    return markdown


def settings() -> str:
    """A table of the keys of each section of the settings, with default and meaning."""
    lines = ["## At the top", "", *_table(Settings, "")]
    for key, field in Settings.model_fields.items():
        if key == "space":
            lines += ["## space", ""]
            for kind in (*SPACE_SETTINGS.values(), OwnSpaceSettings):
                name = kind.model_fields["name"].default
                title = f"`space.name: {name}`" if kind is not OwnSpaceSettings else "A space of your own"
                lines += [f"### {title}", "", _about(kind), "", *_table(kind, "space.")]
        elif (section := _section(field)) is not None:
            lines += [f"## {key}", "", _about(section), "", *_table(section, f"{key}.")]
    return "\n".join(lines)


def _table(section: type[BaseModel], prefix: str) -> list[str]:
    rows = [
        f"| `{key}` | {_default(field)} | {_cell(field.description or '')} |"
        for key, field in _keys(section, prefix)
        if key != "space.name"
    ]
    return ["| setting | default | meaning |", "| --- | --- | --- |", *rows, ""]


def _keys(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a section with those of sections within it; of all settings, those that stand in no section."""
    for name, field in section.model_fields.items():
        within = _section(field)
        if within is None:
            yield f"{prefix}{field.alias or name}", field
        elif prefix:
            yield from _keys(within, f"{prefix}{name}.")


def _section(field: FieldInfo) -> type[BaseModel] | None:
    return type(field.default) if isinstance(field.default, BaseModel) else None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none: it has to be given"
    text = to_plain(field.default)
    return f"`{text}`"


def to_plain(value: object) -> str:
    """A value as a settings file has it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(map(to_plain, value))}]"
    return str(value)


def _about(section: type[BaseModel]) -> str:
    return inspect.cleandoc(section.__doc__ or "").replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("{", "&#123;")


def commands() -> str:
    """The help of each command, as `evonas COMMAND --help` prints it."""
    group = typer.main.get_command(app)
    context = group.make_context("evonas", [], resilient_parsing=True, terminal_width=100)
    lines = [_help("evonas", group, context)]
    for name in group.list_commands(context):  # type: ignore[attr-defined]
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        lines.append(
            _help(f"evonas {name}", command, type(context)(command, info_name=name, parent=context, terminal_width=100))
        )
    return "\n".join(lines)


def _help(title: str, command: Any, context: Any) -> str:
    return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"
