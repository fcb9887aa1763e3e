"""A simulated SNS, to try a bridge before anybody subscribes it, and for the tests. Needs the extra `simulate`; not in the image."""
