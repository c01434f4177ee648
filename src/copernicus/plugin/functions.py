"""What authors of modules import: everything about functions, and nothing else."""

from copernicus.model.jobs import Rule
from copernicus.plugin.children import Child
from copernicus.plugin.controller import Call
from copernicus.plugin.files import File
from copernicus.plugin.jobs import (
    Fail,
    FewerCores,
    Finish,
    GiveUp,
    Job,
    Retry,
    file,
    files,
    json_of,
    number,
    option,
    text,
)
from copernicus.plugin.module import Function, Module

__all__ = [
    "Call",
    "Child",
    "Fail",
    "FewerCores",
    "File",
    "Finish",
    "Function",
    "GiveUp",
    "Job",
    "Module",
    "Retry",
    "Rule",
    "file",
    "files",
    "json_of",
    "number",
    "option",
    "text",
]
