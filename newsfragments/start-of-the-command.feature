``rdv dial`` and ``rdv accept`` start a third faster with an ``http`` server, because they do not
load TLS for it.
