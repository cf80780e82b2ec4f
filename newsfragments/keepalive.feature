Silent connections outlive routers that forget them after a minute even where many packets get lost: keepalive probes begin after
30 seconds instead of 45, and come every 5 seconds instead of 15 while there is no answer. A peer that has vanished is noticed as
soon as before.
