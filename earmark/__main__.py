"""Run the `earmark` command as `python -m earmark`."""

from earmark.pipeline.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
