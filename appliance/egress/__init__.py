"""The way out of a process that has no network of its own: a broker of another user, and what it may be asked for."""
