"""The long form: every section of docs/reliability.md made anew, from what was seen just now."""

import sys
from collections.abc import Callable

from tests.faults.report import write_section

SECTIONS: dict[str, Callable[[], tuple[str, bool]]] = {}
"""Each generated section's maker, which returns its text and whether everything was as it should be."""


def main() -> int:
    """Write the sections named on the command line, or all; return 1 if something was not as it should be."""
    well = True
    for name in sys.argv[1:] or SECTIONS:
        text, good = SECTIONS[name]()
        print(text, flush=True)
        write_section(name, text)
        well = well and good
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
