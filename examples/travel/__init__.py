"""A travel desk: real tools on a real SQLite database, an agent that uses them, and a scripted model.

    desk.py     the bookings office: one transaction per write, each with its idempotency key
    store.py    its SQLite file
    seeds.py    the timetable it starts with
    tools.py    the desk as LangChain tools, each annotated with what it may do
    agent.py    an ordinary `create_agent` agent with specflow's middleware: start reading here
    script.py   what the scripted model thinks and says, so that the demo needs no key

The policy is `policies/travel.yaml`; `specflow demo` runs all of it, sequential beside speculative.
"""
