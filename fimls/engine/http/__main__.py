"""``python -m fimls.engine.http``: the keys of an ``[engines.NAME]`` table, as Markdown."""

from dataclasses import MISSING, fields

from fimls.engine.http.settings import HttpSettings, Kind

print("| key | default | |\n|---|---|---|")
print(f"| `kind` | | One of {', '.join(f'`{kind}`' for kind in Kind)}. |")
for key in fields(HttpSettings):
    if "doc" in key.metadata:
        default = "{}" if key.default is MISSING else key.default
        shown = "" if default == "" else f"`{str(default).lower()}`"
        print(f"| `{key.name}` | {shown} | {key.metadata['doc']} |")
