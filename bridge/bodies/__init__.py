"""The destination and the form of a message: routes, body formats, trace context."""
