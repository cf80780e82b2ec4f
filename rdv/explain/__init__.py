"""
Renders the events of an attempt for humans: as a waterfall diagram for a terminal, as lines of
JSON, as an image, and as a page with the image and all the events.

Pure functions from a list of :class:`rdv.client.trace.Event`; they take any list, even one that is
incomplete at either end. Text from a server is always escaped for terminals and pages.
"""

from rdv.explain.chart import waterfall
from rdv.explain.documents import html, ndjson
from rdv.explain.picture import svg

__all__ = ["html", "ndjson", "svg", "waterfall"]
