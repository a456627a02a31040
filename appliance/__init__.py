"""The appliance: HTTP, wire formats, settings, and how detecting, deciding, recording and routing are joined."""

__version__ = "0.1.0"

__all__ = ["__version__"]
