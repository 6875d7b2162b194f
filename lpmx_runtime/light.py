"""What of `typing` is needed while programs run, without `typing`, which is slow to import.

For the modules that a program's start imports (decision 20): there all else of it is for type
checkers, which know both names by what they are.
"""
from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    class _Defined(type):
        """Makes a class with annotations the `namedtuple` that typing would make of it,
        which compiles each annotation for that."""

        def __new__(cls, name, bases, body):
            fields = body["__annotations__"]
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                setattr(made, key, value)
            return made

    NamedTuple = type.__new__(_Defined, "NamedTuple", (), {})
