"""The program behind `math::double_value`."""

from copernicus.plugin.executables import Executable

executables = [
    # awk is on every POSIX system and starts in a millisecond. It counts in doubles: exact up to 2**53.
    Executable("math/double", ("awk", 'BEGIN { printf "%.0f\\n", 2 * ARGV[1] }'), version="1.0"),
]
