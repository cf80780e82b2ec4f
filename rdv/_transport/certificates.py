"""
What a certificate says about itself and its issuer.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from rdv._text import visible

__all__ = ["UNREADABLE", "name_text", "names_issuer"]

#: What reading the extensions of a malformed certificate may raise.
UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

_MOST = 200


def name_text(name: x509.Name) -> str:
    """A name as text for humans."""
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    text = str(common[0].value) if common else name.rfc4514_string()
    return visible(text[:_MOST]) or "nobody"


def names_issuer(certificate: x509.Certificate) -> bool:
    """
    Whether it says where to get its issuer's certificate. Certificates from an intermediate
    authority, such as public ones, do.
    """
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    ca_issuers = AuthorityInformationAccessOID.CA_ISSUERS
    return any(each.access_method == ca_issuers for each in access.value)
