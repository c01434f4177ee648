"""The test kit for authors of modules."""

from copernicus.testing.authors import FakeChild, FakeInstance, call_command, fake_file

__all__ = ["FakeChild", "FakeInstance", "call_command", "fake_file"]
