"""Speculative equals sequential: generated agents played both ways, and what differs.

case        what a generated run consists of: conversations, agents, guesses, policy, world
draw        makes one of a generator of random numbers
world       an outside world in memory, with hidden state, in which every order shows
kinds       its tools: what they truly touch, and how they are undone
manners     the policy over them: early or not, footprints right or none, and the rest
program     what an agent asks for next: a function of what it has seen
player      plays a case through the real core, as a graph does
differences what is not the same, and what must never be
prove       one seed, many seeds, and the smallest case that still fails
"""
