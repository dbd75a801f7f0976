"""Optional parts of logtracer, one file per thing; each needs `logtracer.py` and nothing else."""
