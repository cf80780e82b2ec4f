``rdv dial`` redials, within its ``--timeout``, when another dialer with the same token took its
place in the server's lobby (409), so any number of SSH sessions with ``rdv dial`` as
``ProxyCommand`` can start at the same moment.
