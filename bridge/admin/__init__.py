"""The admin listener: metrics, the status page, liveness and readiness."""
