"""Settings: one schema, several sources, one immutable result.

Each source overrides the ones before it (``SourceKind`` is that order):

  defaults < user file < project file < environment < initializationOptions
           < workspace/configuration < profile < command line

A project file comes with other people's code, so it may only tune and narrow: it
cannot choose models, engines or files to write (see ``Project``).
"""

from fimls.config.places import (
    PROJECT_FILE,
    cache_dir,
    command_line,
    environment,
    find_project,
    gather,
    profile,
    project_file,
    read_toml,
    templates_dir,
    user_file,
    user_file_path,
)
from fimls.config.reading import Source, SourceKind, load, read
from fimls.config.schema import (
    CompletionOptions,
    Config,
    EngineOptions,
    FilesOptions,
    LogOptions,
    ModelsOptions,
    Option,
    Project,
    ReviewOptions,
    options,
)

__all__ = [
    "PROJECT_FILE",
    "CompletionOptions",
    "Config",
    "EngineOptions",
    "FilesOptions",
    "LogOptions",
    "ModelsOptions",
    "Option",
    "Project",
    "ReviewOptions",
    "Source",
    "SourceKind",
    "cache_dir",
    "command_line",
    "environment",
    "find_project",
    "gather",
    "load",
    "options",
    "profile",
    "project_file",
    "read",
    "read_toml",
    "templates_dir",
    "user_file",
    "user_file_path",
]
