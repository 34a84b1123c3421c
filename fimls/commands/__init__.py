"""One module per command: ``add_parser(subparsers, common)`` and ``run(args, sources)``."""
