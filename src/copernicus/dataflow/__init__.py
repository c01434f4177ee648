"""THE ENGINE: types, values, functions, networks, instances, transactions. Pure."""
