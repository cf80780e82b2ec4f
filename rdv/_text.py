"""
Prepares text from others for display to a human.
"""

from __future__ import annotations

__all__ = ["visible"]


def visible(text: str) -> str:
    """
    The text with a question mark for each character that shows nothing by itself: what a terminal
    would obey, what changes the direction of writing, and what XML does not allow.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
