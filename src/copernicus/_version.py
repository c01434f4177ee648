"""The version, in one place."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("copernicus")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
