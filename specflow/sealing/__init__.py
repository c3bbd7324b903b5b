"""Keeping what a policy redacts: keys, the cipher, and what is stored beside a value without its secrets."""
