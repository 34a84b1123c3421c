"""Write the parts of the documentation that a command prints: `make docs`.

A part stands between ``<!-- begin: COMMAND -->`` and ``<!-- end: COMMAND -->``.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

PART = re.compile(r"(?<=<!-- begin: )(.+?)( -->\n).*?(?=<!-- end: \1 -->)", re.DOTALL)


def _run(match: re.Match[str]) -> str:
    command = shlex.split(match[1])
    module = [sys.executable, "-m", *command]
    printed = subprocess.run(module, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return f"{match[1]}{match[2]}{printed}"


if __name__ == "__main__":
    here = Path(__file__).parent
    for page in [here.parent / "README.md", *sorted(here.glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        fresh = PART.sub(_run, text)
        if fresh != text:
            page.write_text(fresh, encoding="utf-8")
            print(f"{page}: written")
