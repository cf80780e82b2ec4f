"""
The events of an attempt, told so that a person understands what came of it: as a waterfall for a
terminal, as lines of JSON, as a picture, and as a page with the picture and all the rest.

Pure functions from a list of :class:`rdv.client.trace.Event`; they take any list, also one that
breaks off or has no beginning.
"""

from rdv.explain.html import html
from rdv.explain.ndjson import ndjson
from rdv.explain.svg import svg
from rdv.explain.waterfall import waterfall

__all__ = ["html", "ndjson", "svg", "waterfall"]
