"""The programs whose surroundings are measured."""

from copernicus.plugin.executables import Executable

executables = [
    Executable("benchmark/true", ("true",), version="1.0"),
    Executable("benchmark/sleep", ("sleep",), version="1.0"),
]
