"""Measures what docs promise about speed, each figure beside its limit and its goal, in one run on one machine."""
