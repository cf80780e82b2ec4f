``rdv dial`` and ``rdv accept`` explain an attempt: ``--explain`` shows on the terminal which paths
to the peer were tried, when, and why each won or lost; ``--explain-to FILE`` writes this as HTML,
SVG or NDJSON. ``Client(trace=...)`` gets the same as events.
