"""Opening the engine that the settings name."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from fimls.config import Config
from fimls.errors import EngineUnreachable
from fimls.server.backend import Opened

if TYPE_CHECKING:  # what they import takes longer than initialize may
    from fimls.engine.base import Engine
    from fimls.prompting import ChooseTemplate

logger = logging.getLogger(__name__)


def open_engine_of(
    config: Config, report: Callable[[float], None], notify: Callable[[str], None]
) -> Opened:
    """A ready engine, for a thread of its own: blocks, and imports what takes its time.

    ``report`` hears how much of the model is loaded (0 to 1), ``notify`` what the engine
    has to say later. Raises ``FimlsError``.
    """
    from fimls.assembly import choose_template, open_engine, open_parts  # noqa: PLC0415
    from fimls.engine.lazy import LazyEngine  # noqa: PLC0415

    options = config.completion
    began_s = time.perf_counter()
    engine: Engine
    choose: ChooseTemplate
    if options.engine == "embedded":
        lazy = LazyEngine(
            lambda progress: open_engine(config, options.engine, options.model, progress, notify),
            idle_s=config.engine.idle_unload_s,
            progress=report,
        )
        lazy.get()
        engine, choose = lazy, partial(choose_template, options.template, options.model)
    else:
        engine, choose = open_parts(config, report, notify)
    try:
        choose(engine.vocabulary)  # a model that cannot fill in the middle is refused at once
    except EngineUnreachable as error:
        logger.warning("%s", error)  # it may come any moment; each completion asks again
    except BaseException:
        engine.close()  # nobody will use it: the next try opens another one
        raise
    logger.info("opened %s in %.1f s", config.completion.runs, time.perf_counter() - began_s)
    return Opened(engine, choose)
