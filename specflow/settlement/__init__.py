"""COMMITTED, COMPENSATED: how every effect comes to rest, in this process or in the next one."""
