"""FORKS: the user's graph, run ahead on a guess, in a place of its own. See docs/explanation/forks.md."""
