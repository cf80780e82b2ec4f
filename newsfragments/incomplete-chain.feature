The error for an untrusted certificate names its issuer, and says if the server does not send its
whole chain; so does ``rdv check``.
