"""The commands of the command line: serve, check, healthcheck, policy, verify."""
