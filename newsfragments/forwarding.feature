``rdv expose URL TOKEN HOST:PORT`` lets peers reach one TCP port or Unix socket, and
``rdv connect URL TOKEN --listen PORT`` (or ``unix:PATH``) forwards each local connection to such a
peer. There are how-tos for SSH and for services behind NAT.
