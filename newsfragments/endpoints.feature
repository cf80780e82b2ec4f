``rdv.endpoints``: Twisted endpoints for clients and servers, so that any protocol runs over rdv unchanged. The server's keeps accepting under one token.
