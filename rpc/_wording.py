"""msgspec's complaints in the words of a call: which argument, and what about it.

No message repeats a value, only names and types: bodies hold secrets, and messages end
up in logs. Names that the peer made up are escaped and cut.
"""

import re
from enum import Enum

__all__ = ["Subject", "decode_problem", "encode_problem", "placed"]

_MAX_CHARACTERS = 300
_MAX_NAME_CHARACTERS = 60
_MAX_PATH_CHARACTERS = 120
_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.S)
_RAISED = "Encoding objects of type _Raised is unsupported"
_BAD_VALUE = re.compile(r"Invalid (enum )?value .*", re.S)


class Subject(Enum):
    """What a body holds; the values are the words for a part and for the whole."""

    ARGUMENTS = ("argument", "arguments")
    RESULT = ("result", "result")
    ITEM = ("item", "item")
    RESULT_ITEM = ("item of the result", "item of the result")


def decode_problem(error: Exception, subject: Subject) -> str:
    """Return the message for a body that could not be decoded."""
    if isinstance(error, RecursionError):
        return placed("nested too deeply", "$", subject)
    if isinstance(error, UnicodeDecodeError):
        return placed("text that is not UTF-8", "$", subject)
    text, _, path = str(error).partition(" - at `")
    # "key` in `$.names`": the problem is a key of that map.
    role, separator, of_key = path.partition("` in `")
    path = (of_key if separator else path).rstrip("`") or "$"
    if found := _FIELD.fullmatch(text):
        problem = "unknown" if found[1] == "contains unknown" else "missing"
        name = _quoted(found[2])
        if subject is Subject.ARGUMENTS and path == "$":
            return f"{problem} argument {name}"
        return placed(f"{problem} field {name}", path, subject)
    return placed(_plain(text) + (f" as a {role}" if separator else ""), path, subject)


def encode_problem(error: Exception, path: str, subject: Subject) -> str:
    """Return the message for a value that could not be encoded."""
    match error:
        case RecursionError():
            text = "nested too deeply, or contains itself"
        case OverflowError():
            text = "an int outside -2^63 to 2^64-1"
        case UnicodeEncodeError():
            text = "text that is not Unicode"
        case TypeError() if str(error) == _RAISED:
            text = "raised() is for the items of a stream"
        case _:
            text = _plain(str(error))
    return placed(text, path, subject)


def placed(text: str, path: str, subject: Subject) -> str:
    """Return a message with its place in front.

    Args:
        text: What is wrong.
        path: Where, in msgspec's notation: `$` is the whole, `$.a.b[0]` a part.
        subject: What the whole is.
    """
    part, whole = subject.value
    # The path can be as long as the body is deep.
    where = _cut(path.removeprefix("$").removeprefix("."), _MAX_PATH_CHARACTERS)
    place = f'{part} "{where}"' if where else whole
    return _cut(f"{place}: {text}", _MAX_CHARACTERS)


def _plain(text: str) -> str:
    if found := _BAD_VALUE.fullmatch(text):
        return f"not one of the {'enum' if found[1] else 'union'}'s values"
    text = text.replace("`", "")
    first = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first.istitle() else text


def _quoted(name: str) -> str:
    escaped = name.encode("unicode_escape").decode().replace('"', r"\"")
    return f'"{_cut(escaped, _MAX_NAME_CHARACTERS)}"'


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
