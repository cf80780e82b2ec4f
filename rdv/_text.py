"""
Prepares text from others for display to a human.
"""

from __future__ import annotations

__all__ = ["visible"]


def visible(text: str) -> str:
    """
    The text with a question mark in place of each character that is not visible: terminal control
    characters, changes of the writing direction, and characters that XML does not allow.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
