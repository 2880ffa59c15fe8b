#!/usr/bin/env python3
"""Print the table of options in docs/usage.md, from Settings."""

from nst_graph.settings import GROUPS, OPTIONS


def table():
    """The lines of the table: a row for each setting of the command line, by the groups of --help."""
    lines = ["| option | default | what |", "|---|---|---|"]
    for group in GROUPS:
        lines.append(f"| **{group}** | | |")
        for name, option in OPTIONS.items():
            if option.group == group:
                default = f" `{option.shown_default}`" if option.shown_default else ""
                lines.append(f"| `--{name.replace('_', '-')}` |{default} | {option.help} |")
    return lines


if __name__ == "__main__":
    print(*table(), sep="\n")
