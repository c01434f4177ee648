"""Typed settings of the programs, and where they lie."""
