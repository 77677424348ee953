"""EdgeBit: trained ternary networks as static C on small machines, proven bit-exact.

>>> import edgebit
>>> edgebit.__version__.count(".")
2
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("edgebit")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0.0.0"
