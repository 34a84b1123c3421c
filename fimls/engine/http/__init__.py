"""Engines at the other end of HTTP: llama-server, OpenAI-compatible servers, FIM endpoints.

``settings`` reads an ``[engines.NAME]`` table, ``client`` owns connections and says
what went wrong, ``stream`` is a running generation, and each kind of server has a
module that knows its bodies and events and nothing else.
"""

from fimls.engine.http.engine import HttpEngine, open_http_engine
from fimls.engine.http.settings import HttpSettings, Kind

__all__ = ["HttpEngine", "HttpSettings", "Kind", "open_http_engine"]
