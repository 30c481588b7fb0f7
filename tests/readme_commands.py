"""Writes README's command section from the commands' own --help; `make docs` runs it, tests/test_docs.py compares."""

from pathlib import Path

import click

from jobs.cli import cli

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- commands: written by `make docs` -->\n", "<!-- end of commands -->\n"


def command_section() -> str:
    """Return the help of `geotag` and of each command and sub-command as Markdown."""
    return "\n".join(f"```text\n$ {path} --help\n{text}\n```\n" for path, text in _helps(cli, "geotag", None))


def _helps(command: click.Command, name: str, parent: click.Context | None) -> list[tuple[str, str]]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100, **command.context_settings)
    found = [(context.command_path, command.get_help(context))]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            known = command.get_command(context, child)
            assert known is not None, f"{context.command_path} {child} is listed but not there"
            found += _helps(known, child, context)
    return found


def with_commands(text: str) -> str:
    """Return README's text with the command section as it should be."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + "\n" + command_section() + "\n" + END + tail


if __name__ == "__main__":
    README.write_text(with_commands(README.read_text(encoding="utf-8")), encoding="utf-8")
