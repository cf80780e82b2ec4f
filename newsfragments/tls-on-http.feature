A client with an ``https`` URL is refused immediately on a port without TLS, instead of after ten
seconds, and told why.
