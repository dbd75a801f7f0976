"""The commands of the terminal, one file each; `logtracer_cli` finds them by name."""
