"""
The events of an attempt, told so that a person understands what came of it: as a waterfall for a
terminal, as lines of JSON, as a picture, and as a page with the picture and all the events.

Pure functions from a list of :class:`rdv.client.trace.Event`; they take any list, also one that
breaks off or has no beginning. What a server says reaches no terminal and no page as it is.
"""

from rdv.explain.chart import waterfall
from rdv.explain.documents import html, ndjson
from rdv.explain.picture import svg

__all__ = ["html", "ndjson", "svg", "waterfall"]
