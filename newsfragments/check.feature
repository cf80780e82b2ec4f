``rdv check [URL]`` examines the network by acting as both peers against a server. It reports on
TLS, NAT and port mapping, proxies that hide clients, times and throughput, and suggests what to
change, as text or with ``--json``. A server with several ports announces them to its clients
(``Rdv-Other-Ports``), to show whether a NAT uses the same mapping for two destinations.
