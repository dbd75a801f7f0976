"""Scripts that measure; each prints its tables, or with `--json` its figures for programs."""
