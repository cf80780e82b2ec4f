"""
``twist rdv``: the server, or one end of a stream, as a Twisted application service.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import IService
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from rdv._setting import Setting
from rdv._system.clock import use_monotonic_clock
from rdv._system.descriptors import raise_limit
from rdv._system.process import hold_signals
from rdv._system.service_manager import ServiceManager
from rdv._system.verbosity import show_from
from rdv._twist_stream import AcceptOptions, StreamOptions, StreamService
from rdv.errors import BadSettings, RdvError
from rdv.server.configuration.checking import refusals, warnings
from rdv.server.configuration.reading import Configuration
from rdv.server.generations.heritage import take_heritage
from rdv.server.lifecycle.supervision import supervise
from rdv.server.logs.addresses import MaskedFile, Masking
from rdv.server.logs.observers import log_outlet, observer
from rdv.server.site.service import RendezvousService
from rdv.server.workers.parent import WorkersService
from rdv.settings import ServerSettings, server_settings

__all__ = ["Options", "makeService"]


_SWITCHES = [each for each in server_settings() if each.parse is None]
_VALUES = [each for each in server_settings() if each.parse is not None]


def _value_of(setting: Setting) -> Callable[[str], Any]:
    """Reads a value; an error names the option."""
    parse = setting.parse
    assert parse is not None

    def value(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"--{setting.flag}: {error}") from error

    return value


class Options(UsageOptions):
    """The options of ``twist rdv``."""

    synopsis = "[options] [dial|accept URL TOKEN]"
    longdesc = (
        "Without a command, runs the server. For pipes and exit codes, use the rdv command; twist "
        "logs to stdout and cannot set its exit status."
    )
    optFlags = [
        ["check-config", None, "check the settings, print OK or the mistakes, and exit"],
        *([each.flag, None, each.described] for each in _SWITCHES),
    ]
    optParameters = [
        [each.flag, None, None, each.described, _value_of(each)]
        for each in _VALUES
        if not each.repeats
    ]
    subCommands = [
        ["dial", None, StreamOptions, "Connect stdin and stdout to an accepting peer."],
        ["accept", None, AcceptOptions, "Connect stdin and stdout to a dialling peer."],
    ]

    def configuration(self) -> Configuration:
        """
        The settings of a server from the options, the environment and the file.

        :raises BadSettings: when they are invalid.
        """
        given = {each.field: self[each.flag] for each in _VALUES if self.get(each.flag) is not None}
        given |= {each.field: not each.default for each in _SWITCHES if self[each.flag]}
        return Configuration(given, os.environ)

    def settings(self) -> ServerSettings:
        """Like :meth:`configuration`, but only the resulting settings."""
        return self.configuration().settings


def _add_repeatable(setting: Setting, name: str) -> None:
    """Add a method for an option that may be given several times, as Twisted requires."""

    value_of = _value_of(setting)

    def add(self: Options, text: str) -> None:
        try:
            self[setting.flag] = [*self.get(setting.flag, ()), value_of(text)]
        except ValueError as error:
            raise UsageError(str(error)) from error

    add.__doc__ = setting.described
    letters = [each for each in setting.also if each == name[0]]
    for each in (name, *letters):
        setattr(Options, f"opt_{each.replace('-', '_')}", add)


for _setting in _VALUES:
    for _name in (_setting.flag, *_setting.also):
        if _setting.repeats and len(_name) > 1:
            _add_repeatable(_setting, _name)


def makeService(options: Options) -> IService:
    """Create the service that the options ask for."""
    from twisted.internet import reactor

    of_twist = getattr(options, "parent", None) or {}  # the options of ``twist`` itself
    if "logFile" in of_twist:  # its reader must not block the server
        of_twist["logFile"] = log_outlet(of_twist["logFile"])
    use_monotonic_clock(reactor)
    if options.subCommand:
        stream: IService = StreamService(reactor, options.subCommand, options.subOptions)
        return stream
    if options["check-config"]:
        raise SystemExit(_check(reactor, options))
    try:
        configuration = options.configuration()
        level = of_twist.get("logLevel", LogLevel.info).name
        masking = Masking(configuration.settings.log_addresses)
        if "logFile" in of_twist:
            _log(configuration.settings, masking, of_twist, level)
        service: IService = _server(reactor, configuration, masking, level)
    except RdvError as error:
        raise SystemExit(f"twist rdv: {error}") from error
    return service


def _check(reactor: Any, options: Options) -> int:
    """Report what is wrong with the settings, and return the exit status."""
    lines, status = ["OK"], 0
    try:
        configuration = options.configuration()
        if found := refusals(reactor, configuration):
            raise BadSettings(found)
        lines[:0] = [f"WARNING: {each}" for each in warnings(configuration)]
    except BadSettings as error:
        lines, status = [f"twist rdv: {each}" for each in error.refusals], 2
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return status


def _log(settings: ServerSettings, masking: Masking, of_twist: dict[str, Any], level: str) -> None:
    """Set the observer that ``twist`` uses when it begins to log."""
    show_from(level)
    if settings.log_format is None:  # the format that twist was told, or one that suits the file
        of_twist["logFile"] = MaskedFile(of_twist["logFile"], masking)
    else:
        of_twist["fileLogObserverFactory"] = partial(observer, settings.log_format, masking)


def _server(
    reactor: Any, configuration: Configuration, masking: Masking, level: str
) -> RendezvousService | WorkersService:
    hold_signals()
    raise_limit(reactor)
    heritage = take_heritage(os.environ)
    settings = configuration.settings
    service: RendezvousService | WorkersService
    if settings.workers == 1:
        service = _ServerService(reactor, settings, handle_signals=True, heritage=heritage)
    else:
        service = _WorkersService(
            reactor,
            settings,
            settings.workers,
            level=level,
            handle_signals=True,
            heritage=heritage,
        )
    service.reloads.insert(0, partial(configuration.reload, service.use, masking.use))
    supervise(reactor, service, ServiceManager(os.environ))
    return service


class _SaysWhy:
    """Reports in one line why it cannot start."""

    def privilegedStartService(self) -> None:
        try:
            super().privilegedStartService()  # type: ignore[misc]
        except RdvError as error:
            raise SystemExit(f"twist rdv: {error}") from error


class _ServerService(_SaysWhy, RendezvousService):
    pass


class _WorkersService(_SaysWhy, WorkersService):
    """
    Ends ``twist`` with status 1 when its workers cannot start: ``twist`` itself has no means for
    that.
    """

    def startService(self) -> None:
        super().startService()
        run = self._reactor.run
        for can_fail in (self.ready, self.failed):
            can_fail.addErrback(self._give_up)

        def run_to_the_end() -> None:
            run()
            if self._failed:
                raise SystemExit(1)

        self._reactor.run = run_to_the_end

    _failed = False

    def _give_up(self, failure: Failure) -> None:
        self._failed = True
        Logger().critical("{reason}", reason=failure.getErrorMessage())
        self._reactor.stop()
