"""HTTP: what a client sends becomes a request, and a request's end becomes a response."""
