Errors about an https server say why its certificate is not trusted, such as ``it is self-signed`` or ``it has expired``, as ``rdv check`` does.
