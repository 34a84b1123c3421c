"""Local, private code completion over LSP that stops where it should."""

__version__ = "0.1.0"
