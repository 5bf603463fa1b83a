"""The web console: shells of pages and what they are made of; whatever they show, their scripts ask of the REST API.

Knows no other room: what the console can do, any program can do.
"""

from sintonia.console.pages import routes

__all__ = ["routes"]
