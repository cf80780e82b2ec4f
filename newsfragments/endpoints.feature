``rdv.endpoints`` has Twisted endpoints for clients and servers, so that any protocol runs over rdv
unchanged. The server endpoint keeps accepting under one token. Endpoint descriptions work too:
``rdv:https\://HOST/PATH:token=TOKEN``, for example for ``twist web --listen``.
