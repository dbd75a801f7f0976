"""What the tests and the benchmark of the viewer share."""
