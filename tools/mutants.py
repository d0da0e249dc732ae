"""Puts faults into the core one by one, and shows those that no test notices.

`make mutants` fails if fewer than 97 % are noticed, or if one that is not is missing in
tests/core/survivors.toml, which gives a reason for each. With names or patterns of mutants
(`python tools/mutants.py "*_core.windows*"`) it makes and shows these only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent
REASONS = ROOT / "tests/core/survivors.toml"
RESULTS = ROOT / "mutants/breaker_asgi/_core"
KILLED_AT_LEAST = 0.97
_UNNOTICED = {0: "survived", 5: "no tests", 33: "no tests"}
"""The exit codes of runs in which no test has noticed a mutant."""


def main() -> int:
    if sys.version_info < (3, 12):
        # Its garbage collector runs within ContextVar.set, and so within mutmut's own code.
        print("Mutants need Python 3.12 or later: make mutants PYTHON=python3.12 VENV=.venv-3.12")
        return 2
    patterns = sys.argv[1:]
    _mutmut("run", *patterns, env=os.environ | {"PYTEST_XDIST_WORKER_COUNT": "20"})  # no haste
    codes = {name: code for name, code in _results().items() if _is_of(name, patterns)}
    if not codes:
        print("No mutant was tried: see above.")
        return 2
    survivors = [name for name, code in codes.items() if code in _UNNOTICED]
    reasons = tomllib.loads(REASONS.read_text())
    unlisted = 0
    for name in survivors:
        function, change = _function_of(name), _change_of(name)
        if change not in reasons.get(function, {}):
            unlisted += 1
            print(f"\n[{json.dumps(function)}]  # {name}\n{json.dumps(change)} = ")
    killed = 1 - len(survivors) / len(codes)
    print(
        f"\n{len(codes):,} mutants, {killed:.1%} killed, at least {KILLED_AT_LEAST:.0%} allowed; "
        f"{len(survivors)} survived, {unlisted} of them without a reason in {REASONS.name}"
    )
    return int(unlisted > 0 or killed < KILLED_AT_LEAST)


def _mutmut(*arguments: str, env: dict[str, str] | None = None) -> None:
    subprocess.run([sys.executable, "-m", "mutmut", *arguments], cwd=ROOT, env=env, check=False)


def _results() -> dict[str, int | None]:
    """Return the exit codes of the tests, by mutant."""
    codes: dict[str, int | None] = {}
    for path in sorted(RESULTS.rglob("*.meta")):
        codes |= json.loads(path.read_text())["exit_code_by_key"]
    return {name: code for name, code in codes.items() if code is not None}


def _is_of(name: str, patterns: list[str]) -> bool:
    return not patterns or any(fnmatch(name, pattern) for pattern in patterns)


def _function_of(name: str) -> str:
    """Return the function of a mutant: `windows.TimeRecord.advance`."""
    module, _, mangled = name.removeprefix("breaker_asgi._core.").rpartition(".")
    function = mangled.rpartition("__mutmut_")[0].removeprefix("x_")
    return f"{module}.{function.removeprefix('xǁ').replace('ǁ', '.')}"


def _change_of(name: str) -> str:
    """Return the lines that a mutant changes: before and after."""
    command = [sys.executable, "-m", "mutmut", "show", name]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line for line in shown.splitlines() if not line.startswith(("---", "+++"))]
    before, after = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return f"{before} -> {after}"


if __name__ == "__main__":
    sys.exit(main())
