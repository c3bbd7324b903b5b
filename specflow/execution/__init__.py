"""EXECUTED: the one door through which every tool call goes."""
