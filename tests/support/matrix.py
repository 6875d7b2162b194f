"""docs/reference/programs.md: which programs were at work in containers, made of the rows of `make soak`."""
from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping

#: "What (way)" is a row's name; columns are in this order.
WAYS = ("preload", "trap")

HEAD = """# Programs at work

What programs of each kind did in a container, by the preload library and by the trap alone, and in a chroot into
the same image: made by `make soak` from what was recorded when they ran; do not edit. Each was judged by what it printed.
The scripts are in `tests/languages/programs.py`, the image's recipe is in `tests/support/images.py`; how
programs linked in every way behave call by call is compared by `tests/programs` in each `make test`.
[What else ran at length](soak.md).
"""


def page(rows: Iterable[Mapping[str, Any]]) -> str:
    """The document."""
    suites: Dict[str, Dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        name, _, way = str(row["what"]).rpartition(" (")
        if row["subject"] == "programs" and row.get("each"):
            suites.setdefault(name, {})[way.rstrip(")")] = row
    return HEAD + "".join(_suite(name, ways) for name, ways in suites.items())


def _suite(name: str, ways: Mapping[str, Mapping[str, Any]]) -> str:
    shown = [way for way in WAYS if way in ways]
    about = next(str(ways[way]["about"]) for way in shown)
    runs = "; ".join(f"{way}: {ways[way]['date']}, commit {ways[way]['commit']}, Linux "
                     f"{ways[way]['kernel']}" for way in shown)
    lines = [f"\n## {name}\n", about, "" if about else None,
             "| | chroot | " + " | ".join(shown) + " |", "|---" * (len(shown) + 2) + "|"]
    for check in dict.fromkeys(each for way in shown for each in ways[way]["each"]):
        found = [ways[way]["each"].get(check, ["absent", "absent"]) for way in shown]
        outside = dict.fromkeys(_word(each[0]) for each in found)
        lines.append(f"| {check} | {', '.join(outside)} | "
                     + " | ".join(_word(each[1]) for each in found) + " |")
    return "\n".join(_without_none(lines)) + f"\n\n{runs}\n"


def _without_none(lines: Iterable[Any]) -> List[str]:
    return [line for line in lines if line is not None]


def _word(state: str) -> str:
    return {"PASS": "right", "FAIL": "wrong", "absent": "not run"}.get(state, state)
