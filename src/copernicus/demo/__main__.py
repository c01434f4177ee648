"""`python -m copernicus.demo`."""

from copernicus.demo.cli import main

main()
