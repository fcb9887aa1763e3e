"""What the command line runs: serve, check, healthcheck, policy, verify."""
