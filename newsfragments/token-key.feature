With ``--token-key FILE``, a server only accepts tokens that its operator has signed, until they
expire. ``rdv token --key FILE --user NAME --ttl 1h`` signs one, for a secured or a plain stream.
