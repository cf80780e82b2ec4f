"""Wrappers of ``twisted.protocols.policies`` between TLS and a site: TLS keeps its half-close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.policies import TimeoutFactory, WrappingFactory
from twisted.web.resource import Resource

from rdv._transport.tls import HalfCloseTLS
from rdv.test.server import test_wrapped
from rdv.test.server.doubles import request
from rdv.test.transport.doubles import proxied, with_tls


class WrapperAboveTLSTests(test_wrapped.TLSTests):
    """A wrapper that does nothing."""

    def above(self, factory: IProtocolFactory) -> IProtocolFactory:
        """What is between TLS and the site."""
        return WrappingFactory(factory)

    def mount(self, resource: Resource) -> None:
        super().mount(resource)
        assert self.tls is not None
        self.factory = with_tls(self.above(self.site), self.clock, False, self.tls)

    def test_who_is_above(self) -> None:
        """It has come in the place of Twisted's TLS, below the wrapper."""
        visitor = self.visit(request())
        self.assertIsInstance(visitor.at_server.protocol, HalfCloseTLS)
        self.assertEqual(self.rendezvous.waiting, 1)


class TwoWrappersAboveTLSTests(WrapperAboveTLSTests):
    """Two of them."""

    def above(self, factory: IProtocolFactory) -> IProtocolFactory:
        return WrappingFactory(WrappingFactory(factory))


class _ClockedTimeoutFactory(TimeoutFactory):
    """A ``TimeoutFactory`` with the test's clock."""

    call_later: Callable[..., Any]

    def callLater(self, period: Any, func: Any) -> Any:
        return self.call_later(period, func)


class TimeoutAboveTLSTests(WrapperAboveTLSTests):
    """One with a timeout of its own."""

    def above(self, factory: IProtocolFactory) -> IProtocolFactory:
        wrapping = _ClockedTimeoutFactory(factory, 60)
        wrapping.call_later = self.clock.callLater
        return wrapping


class ProxiedWrapperTests(test_wrapped.ProxiedTests):
    """One above the wrapper of ``haproxy:``, without TLS: the half-close passes both."""

    def mount(self, resource: Resource) -> None:
        super().mount(resource)
        self.factory = proxied(WrappingFactory(self.site))
