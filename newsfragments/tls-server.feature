``--tls 443 --cert fullchain.pem --key privkey.pem``: a server sends its whole chain, listens on
IPv6 and IPv4, and reloads a renewed certificate automatically, or on SIGHUP.
