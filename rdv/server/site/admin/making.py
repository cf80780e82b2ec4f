"""
Makes an admin port if the settings want one. Its modules are not loaded otherwise: this takes
20 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rdv.settings import ServerSettings

if TYPE_CHECKING:
    from rdv.server.site.admin.service import Admin
    from rdv.server.site.admin.site import Look
    from rdv.server.site.certificate import ServerCertificate

__all__ = ["make_admin"]


def make_admin(
    reactor: Any, settings: ServerSettings, look: Look, certificate: ServerCertificate | None
) -> Admin | None:
    """
    The admin port that ``settings`` want.

    :param look: collects all metrics of the server.
    :raises BadEndpoint: when the place cannot be understood.
    """
    if not settings.admin:
        return None

    from rdv.server.site.admin.service import Admin

    def expires() -> float | None:
        return None if certificate is None else certificate.expires.timestamp()

    return Admin(reactor, settings.admin, look, expires)
