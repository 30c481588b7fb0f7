"""Asks pip-audit whether a pinned version has a known vulnerability; `make check` runs it.

Exit code 1 if one has. Where the service cannot be asked (offline, or a mirror that has no such answers) it says that
nothing was checked, and exits with 0: pip-audit alone calls packages that it could not look up free of known
vulnerabilities.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that do not concern us, by id, each with the reason."""

_TIMEOUT = 120  # seconds
_UNREACHABLE = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|ServiceError|HTTPError")


def audit(constraints: Path = CONSTRAINTS, service: Sequence[str] = ()) -> tuple[int, str]:
    """Return the exit code and what to say; `service` are pip-audit's options that name another service."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10", *service]
    command += [word for name in ACCEPTED for word in ("--ignore-vuln", name)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return 0, f"pip-audit: NOT CHECKED, no answer within {_TIMEOUT} seconds"
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if _UNREACHABLE.search(done.stderr):
            return 0, f"pip-audit: NOT CHECKED, the service cannot be reached: {reason[:160]}"
        return 1, f"pip-audit failed: {reason}"
    found = [
        f"{package['name']} {package['version']}: {each['id']}, mended in {', '.join(each['fix_versions']) or 'none'}"
        for package in packages
        for each in package.get("vulns", [])
    ]
    if found:
        return 1, "\n".join(["pip-audit found known vulnerabilities:", *found])
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return 0, f"pip-audit: NOT CHECKED, the service knows none of the {len(packages)} pinned packages"
    unknown = f", but it could not look up {', '.join(skipped)}" if skipped else ""
    return 0, f"pip-audit: no known vulnerability in {len(packages) - len(skipped)} pinned packages{unknown}"


if __name__ == "__main__":
    code, text = audit()
    print(text, file=sys.stderr if code else sys.stdout)
    sys.exit(code)
