"""Opening a log, knowing it again, and cutting it into pieces of whole lines."""

import gzip
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.errors import SourceError, UsageError
from crmflow.sources.logs import KEPT_BYTES, MAX_LINE_BYTES, MIB, MOST_LINES, Piece, open_log

from .conftest import Write
