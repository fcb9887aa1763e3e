"""Where a message goes, and in what form: routes, body formats, trace context."""
