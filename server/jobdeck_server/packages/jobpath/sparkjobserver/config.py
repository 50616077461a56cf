"""A job's configuration: a dict whose values are also found by dotted paths.

The accessors are those of pyhocon's ``ConfigTree``, for which jobs were written, with its rules: ``get`` without a
default raises when there is nothing, the typed ones convert, and null is None in all of them. Being a dict, it can be
copied, compared, looped over and given to ``json.dumps``.

A path has its keys between dots; a key with a dot in it stands in double quotes (``a."b.c"``). A key that is there
literally wins over a path of the same spelling.
"""

# ruff: noqa: ANN401  # values of any kind are what this is about
from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ConfigException", "ConfigMissingException", "ConfigTree", "ConfigWrongTypeException"]

_NOTHING = object()
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class ConfigException(Exception):
    """A value is not there, or not what was asked for."""


class ConfigMissingException(ConfigException, KeyError):
    """There is no such value."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class ConfigWrongTypeException(ConfigException):
    """A value cannot be read as this, or has nothing below it."""


class ConfigTree(dict):  # type: ignore[type-arg]  # a subscript of dict needs Python 3.9
    """See the top of this file. ``ConfigTree(plain_dict)`` makes all dicts below it such trees, too."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        _grow(self)

    @classmethod
    def of_pairs(cls, pairs: list[tuple[str, Any]]) -> ConfigTree:
        """From values that are such trees already, as a JSON reader has them."""
        tree = cls.__new__(cls)
        dict.update(tree, pairs)
        return tree

    # -- reading --

    def get(self, key: str, default: Any = _NOTHING) -> Any:
        """The value at a path.

        Raises:
            ConfigMissingException: There is none, and no default.
            ConfigWrongTypeException: On the way there is something without values of its own.
        """
        if dict.__contains__(self, key):
            return dict.__getitem__(self, key)
        found: Any = self
        done = ""
        for part in _parts(key):
            if not isinstance(found, dict):
                if default is not _NOTHING:
                    return default
                raise ConfigWrongTypeException(f"{done} is no object but {_kind(found)}")
            if not dict.__contains__(found, part):
                if default is not _NOTHING:
                    return default
                raise ConfigMissingException(f"No configuration setting found for key {key}")
            found = dict.__getitem__(found, part)
            done = f"{done}.{part}" if done else part
        return found

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copying and pickling ask for
            raise AttributeError(name)
        try:
            return self.get(name)
        except ConfigException as error:
            raise AttributeError(str(error)) from None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key, _ABSENT) is not _ABSENT

    def get_string(self, key: str, default: Any = _NOTHING) -> Any:
        """A text; numbers and booleans in their HOCON spelling."""
        found = self.get(key, default)
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, (dict, list)):
            raise ConfigWrongTypeException(f"{key} is no text but {_kind(found)}")
        return found if found is None or found is default else str(found)

    def get_int(self, key: str, default: Any = _NOTHING) -> Any:
        """A whole number, also one that is written as a text."""
        return self._converted(key, default, int)

    def get_float(self, key: str, default: Any = _NOTHING) -> Any:
        """A number, also one that is written as a text."""
        return self._converted(key, default, float)

    def get_bool(self, key: str, default: Any = _NOTHING) -> Any:
        """True for true, yes, on; False for false, no, off."""
        found = self.get(key, default)
        if found is None or found is default or isinstance(found, bool):
            return found
        known = _BOOLEANS.get(found.lower()) if isinstance(found, str) else None
        if known is None:
            raise ConfigWrongTypeException(f"{key} is no boolean but {_kind(found)}")
        return known

    def get_list(self, key: str, default: Any = _NOTHING) -> Any:
        """A list; of an object with whole numbers for keys its values in their order."""
        found = self.get(key, default)
        if found is None or found is default or isinstance(found, list):
            return found
        if isinstance(found, dict) and found and all(name.isdecimal() for name in found):
            return [found[name] for name in sorted(found, key=int)]
        raise ConfigWrongTypeException(f"{key} is no list but {_kind(found)}")

    def get_config(self, key: str, default: Any = _NOTHING) -> Any:
        """An object, as a ``ConfigTree``."""
        found = self.get(key, default)
        if found is None or found is default or isinstance(found, ConfigTree):
            return found
        raise ConfigWrongTypeException(f"{key} is no object but {_kind(found)}")

    def _converted(self, key: str, default: Any, to: Any) -> Any:
        found = self.get(key, default)
        if found is None or found is default:
            return found
        try:
            return to(found)
        except (TypeError, ValueError, OverflowError):
            raise ConfigWrongTypeException(f"{key} is no {to.__name__} but {_kind(found)}") from None

    # -- changing a job's own copy --

    def put(self, key: str, value: Any) -> None:
        """Set the value at a path; what is on the way and no object gives way to one."""
        *above, last = _parts(key)
        tree: Any = self
        for part in above:
            inner = dict.get(tree, part)
            if not isinstance(inner, ConfigTree):
                inner = ConfigTree()
                dict.__setitem__(tree, part, inner)
            tree = inner
        dict.__setitem__(tree, last, _grown(value))

    def pop(self, key: str, default: Any = _NOTHING) -> Any:
        """Take the value at a path out of the tree."""
        if dict.__contains__(self, key):
            return dict.pop(self, key)
        *above, last = _parts(key)
        tree: Any = self
        for part in above:
            tree = dict.get(tree, part) if isinstance(tree, dict) else None
        if isinstance(tree, dict) and dict.__contains__(tree, last):
            return dict.pop(tree, last)
        if default is _NOTHING:
            raise ConfigMissingException(f"No configuration setting found for key {key}")
        return default

    def as_plain_ordered_dict(self) -> dict[str, Any]:
        """The same as plain dicts and lists."""
        return {key: _plain(value) for key, value in self.items()}

    as_plain_dict = as_plain_ordered_dict


_ABSENT = object()


def _parts(path: str) -> list[str]:
    if not isinstance(path, str):
        raise ConfigMissingException(f"No configuration setting found for key {path!r}")
    if '"' not in path:
        return path.split(".")
    parts = [""]
    quoted = False
    for char in path:
        if char == '"':
            quoted = not quoted
        elif char == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _grown(value: Any) -> Any:
    if isinstance(value, ConfigTree):
        return value
    if isinstance(value, dict):
        return ConfigTree(value)
    return [_grown(each) for each in value] if isinstance(value, list) else value


def _grow(tree: ConfigTree) -> None:
    for key, value in tree.items():
        if isinstance(value, (dict, list)) and not isinstance(value, ConfigTree):
            dict.__setitem__(tree, key, _grown(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
