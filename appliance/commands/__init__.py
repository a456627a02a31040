"""The command line's groups, one module each. What an operator reads is Russian."""
