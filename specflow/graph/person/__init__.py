"""A person who is asked: what a paused run wants to know, and how it is asked at a terminal."""
