"""The demo: one agent run twice at the same time, sequential beside speculative, and what it came to.

bundle      the travel example, imported from where it travels with specflow
database    the file that holds the journal and the desk
timeline    what happened when, on a clock that stops while a person thinks
watch       the runtime's events, put on the timeline and counted
approval    one question to one person for both runs
drive       an agent run to its end, question by question
measure     time to action, and the bound: what the best guesses could have reached
sidebyside  the travel desk, both ways
recorded    runs that real models made, played again
live, page  the picture while it runs, and the tables after it
"""

from specflow.demo.recovery import recovery_tools

__all__ = ["recovery_tools"]
