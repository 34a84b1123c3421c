"""The first source: the Hugging Face hub, through its own client."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from fimls.cancel import Cancel
from fimls.models.catalogue import HubSource, Model
from fimls.models.progress import Cancelled, Progress, Report, SourceFailed, disk_full

# A hub that is there answers in well under a second; behind a firewall that swallows packets,
# waiting longer only delays the next source.
ANSWER_TIMEOUT_S = 5.0


def fetch(
    model: Model, source: HubSource, partial: Path, report: Report, cancel: Cancel
) -> tuple[Path, str | None]:
    """Download into ``partial``, resuming; returns the file and the hub's own sha256 of it.

    Raises ``SourceFailed`` when the hub cannot be reached or does not have the file, and
    ``DownloadFailed`` when the disk is full.
    """
    _prepare_client()
    # These take 0.4 s, and most runs download nothing.
    from huggingface_hub import hf_hub_url, logging  # noqa: PLC0415
    from huggingface_hub.file_download import http_get  # noqa: PLC0415
    from huggingface_hub.utils._headers import build_hf_headers  # noqa: PLC0415

    logging.set_verbosity_error()  # type: ignore[no-untyped-call] # untyped in the client
    url = hf_hub_url(source.repo, model.file, revision=source.revision)
    expected, size = _ask(url)
    if expected is None and model.sha256 is None:
        raise SourceFailed("the Hugging Face hub has no sha256 of the file to check it against")
    # Named by content, so that another version of the file is never appended to.
    path = partial / f"{expected or model.sha256}.part"
    done = path.stat().st_size if path.exists() else 0
    if size is not None and done > size:
        path.unlink()
        done = 0
    report(Progress("downloading", done, size, note=f"from the Hugging Face hub, {source.repo}"))
    try:
        # hf_hub_download of huggingface_hub 2 no longer resumes a file of an earlier run.
        with path.open("ab") as file:
            http_get(
                url,
                file,
                resume_size=done,
                expected_size=size,
                headers=build_hf_headers(library_name="fimls"),
                tqdm_class=_bar(report, cancel, size),
            )
    except Cancelled:
        raise
    except Exception as error:
        # The client's transports, and so its errors, change from one release to the next;
        # whatever went wrong, the next source is tried.
        full = disk_full(error, partial) if isinstance(error, OSError) else None
        raise full or SourceFailed(f"the Hugging Face hub failed: {_line(error)}") from error
    return path, expected


def _prepare_client() -> None:
    """A setting that the client reads from the environment when it is imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _ask(url: str) -> tuple[str | None, int | None]:
    """The file's sha256 and size as the hub knows them; bounded in time, name look-up included."""
    import huggingface_hub as hub  # noqa: PLC0415 - see fetch

    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(hub.get_hf_file_metadata(url, timeout=ANSWER_TIMEOUT_S))
        except Exception as error:  # noqa: BLE001 - handed over to the waiting thread
            answer.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_TIMEOUT_S)
    if not answer:
        raise SourceFailed(f"the Hugging Face hub does not answer within {ANSWER_TIMEOUT_S:.0f} s")
    if isinstance(answer[0], Exception):
        raise SourceFailed(f"the Hugging Face hub cannot be used: {_line(answer[0])}")
    etag: str | None = answer[0].etag
    # Large files carry their sha256 as entity tag, small ones a git hash.
    is_sha256 = etag is not None and len(etag) == 64
    return etag if is_sha256 else None, answer[0].size


def _bar(report: Report, cancel: Cancel, total: int | None) -> type[Any]:
    """A progress bar class for the client that reports to us and draws nothing."""
    from tqdm import tqdm  # noqa: PLC0415 - comes with the client

    class Bar(tqdm):  # type: ignore[type-arg] # generic in its stubs only
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._done = int(kwargs.get("initial") or 0)
            kwargs["disable"] = True
            kwargs.pop("name", None)  # the client's own addition, unknown to tqdm
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            if cancel.is_set():
                raise Cancelled
            self._done += int(n or 0)
            report(Progress("downloading", self._done, total))
            return None

    return Bar


def _line(error: BaseException) -> str:
    """The first line of an error: clients explain at length."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
