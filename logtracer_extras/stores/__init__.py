"""Stores: where traces go, how they are listed, copied and removed."""
