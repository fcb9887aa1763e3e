"""Nothing of it is used on Linux."""
