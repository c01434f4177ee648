"""The program behind `math::double_value`."""

from copernicus.plugin.executables import Executable

# expr takes its operands as they are, so nothing in an argument can become code, and it is exact on whole numbers.
# It ends with status 1 when the result is 0; that is no fault.
_DOUBLE = 'expr -- "$1" "*" 2 || [ $? -eq 1 ]'

executables = [Executable("math/double", ("sh", "-c", _DOUBLE, "double"), version="1.1")]
