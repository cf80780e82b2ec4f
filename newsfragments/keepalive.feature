Idle connections survive routers that forget them after a minute, even if many packets are lost:
keepalive probes start after 30 seconds instead of 45, and are sent every 5 seconds instead of 15
while there is no answer. A vanished peer is detected as soon as before.
