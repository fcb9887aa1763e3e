"""Hostile neighbours: another client misbehaves, and every genuine message is still answered 200 within a second.

streams   what an attacker's connection sends
crowd     the attacker: a process with many connections that send streams
genuine   the genuine messages meanwhile, each posted once, and /livez
siege     one attack on one bridge, and what is promised under it
table     its row in docs/faults.md
"""
