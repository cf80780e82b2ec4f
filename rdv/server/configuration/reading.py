"""
Reads settings from a command line, the environment and a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from twisted.logger import Logger

from rdv._setting import Setting
from rdv._text import visible
from rdv.errors import BadSettings
from rdv.settings import ServerSettings, server_settings

__all__ = ["PREFIX", "Configuration"]

log = Logger()

#: The prefix of the environment variables. RDV_SERVER and RDV_TOKEN are for clients.
PREFIX = "RDV_SERVE_"

#: Values and the places where they are set, by the fields of ServerSettings.
_Found: TypeAlias = dict[str, tuple[Any, str]]

_SETTINGS = list(server_settings())
_KEYS = {name: each for each in _SETTINGS for name in each.names}
_VARIABLES = {f"{PREFIX}{name.upper().replace('-', '_')}": each for name, each in _KEYS.items()}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Configuration:
    """
    The operator's configuration.

    :param given: the values on the command line, by the fields of :class:`ServerSettings`.
    :param environ: the environment. Empty variables are ignored.
    :ivar settings: the effective settings.
    :raises BadSettings: when a setting is unknown, a value is invalid, or the file cannot be read.
    """

    def __init__(self, given: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._given = given
        self._environ = environ
        self.settings, self._places = self._read()

    def place(self, field: str) -> str:
        """The place of a setting's value, for humans: ``rdv.toml: drain``, ``--drain``."""
        flag = next(each.flag for each in _SETTINGS if each.field == field)
        return self._places.get(field, f"--{flag}")

    def reload(self, *users: Callable[[ServerSettings], object]) -> None:
        """
        Read everything again. Changed values take effect immediately, except settings that a
        process only reads at its start; these are logged in one line.

        :param users: each is called with the effective settings. The first one may refuse them.
        :raises RdvError: raised by the first user, or as by the constructor; then nothing changes.
        """
        new = self._read()[0]
        changed = [
            each
            for each in _SETTINGS
            if getattr(new, each.field) != getattr(self.settings, each.field)
        ]
        now = [each for each in changed if not each.at_start]
        if now:
            settings = replace(
                self.settings, **{each.field: getattr(new, each.field) for each in now}
            )
            for use in users:
                use(settings)
            self.settings = settings
            log.info("{names}: changed", names=_names(now))
        if later := [each for each in changed if each.at_start]:
            kind = "takes effect" if len(later) == 1 else "take effect"
            log.warn(
                "{names}: {kind} with the next generation, SIGUSR2", names=_names(later), kind=kind
            )

    def _read(self) -> tuple[ServerSettings, dict[str, str]]:
        refusals: list[str] = []
        found = _in_environment(self._environ, refusals)
        path = self._given.get("config", found.get("config", (None,))[0])
        if path is not None:
            found = _in_file(path, refusals) | found
        if refusals:
            raise BadSettings([visible(line) for line in refusals])
        others = {field: each for field, each in found.items() if field not in self._given}
        values = {field: value for field, (value, _) in others.items()}
        places = {field: place for field, (_, place) in others.items()}
        values |= self._given
        if values.get("tls") and "listen" not in values:
            values["listen"] = ()  # no plain port unless it is set explicitly
        return ServerSettings(**values), places


def _names(settings: Iterable[Setting]) -> str:
    return ", ".join(each.flag for each in settings)


def _in_environment(environ: Mapping[str, str], refusals: list[str]) -> _Found:
    ours = [(name, text) for name, text in environ.items() if name.startswith(PREFIX) and text]
    return _values(
        ((name, name, _from_text(_VARIABLES.get(name), text)) for name, text in ours),
        _VARIABLES,
        refusals,
    )


def _in_file(path: str, refusals: list[str]) -> _Found:
    import tomllib  # imported late: most servers have no file

    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        refusals.append(f"{path}: {error.strerror}")
        return {}
    except ValueError as error:  # TOMLDecodeError, or not UTF-8
        refusals.append(f"{path}: not TOML: {error}")
        return {}
    except RecursionError:
        refusals.append(f"{path}: not TOML: lists are nested too deeply")
        return {}
    # A file cannot name another file.
    keys = {name: each for name, each in _KEYS.items() if each.field != "config"}
    items = ((f"{path}: {name}", name, value) for name, value in content.items())
    return _values(items, keys, refusals)


def _values(
    items: Iterable[tuple[str, str, object]], known: Mapping[str, Setting], refusals: list[str]
) -> _Found:
    """
    Parse the values of one source.

    :param items: the place, the name and the raw value of each setting.
    :param known: the settings by such names.
    :param refusals: gets one line for each mistake.
    """
    found: _Found = {}
    for place, name, value in items:
        setting = known.get(name)
        if setting is None:
            refusals.append(f"{place}: no such setting; {_hint(name, known)}")
        elif setting.field in found:
            refusals.append(f"{place}: the same as {found[setting.field][1]}; set only one of them")
        else:
            try:
                found[setting.field] = (_value(setting, value), place)
            except ValueError as error:
                refusals.append(f"{place}: {error}")
    return found


def _hint(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else "rdv serve --help lists them"


def _value(setting: Setting, value: object) -> Any:
    """
    The value of a setting.

    :param value: in the types of TOML.
    :raises ValueError: when it is invalid.
    """
    if setting.parse is None:
        if not isinstance(value, bool):
            raise ValueError(f"neither true nor false: {value!r}")
        return value is not setting.default
    if not setting.repeats:
        return _parsed(setting, value)
    several = value if isinstance(value, list) else [value]
    if not several:
        raise ValueError("an empty list; omit it for the default")
    return tuple(_parsed(setting, each) for each in several)


def _parsed(setting: Setting, value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        what = {bool: "a switch", dict: "a table", list: "a list"}.get(
            type(value), "a date or time"
        )
        raise ValueError(f"{what}, not a number or a quoted string")
    assert setting.parse is not None
    return setting.parse(str(value))


def _from_text(setting: Setting | None, text: str) -> object:
    """The value of an environment variable in the types of TOML."""
    if setting is not None and setting.repeats:
        return [each.strip() for each in text.split(",")]
    if setting is not None and setting.parse is None:
        word = text.lower()
        return word in _TRUE if word in (*_TRUE, *_FALSE) else text
    return text
