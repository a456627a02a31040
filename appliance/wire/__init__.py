"""The wire formats that applications speak to us, and their translation to what providers speak."""
