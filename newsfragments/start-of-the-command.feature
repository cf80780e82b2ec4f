``rdv dial`` and ``rdv accept`` start a quarter faster with an ``http`` server, since TLS is not loaded
for it.
