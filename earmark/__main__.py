"""`python -m earmark`: the command."""

from earmark.pipeline.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
