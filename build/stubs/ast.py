"""No parser."""
