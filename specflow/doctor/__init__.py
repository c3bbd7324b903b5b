"""WHY speculation does or does not happen here: everything that decides about it, looked at without a run.

    environment  versions, notebooks, telemetry
    policy       its files, and what lint finds in them
    tools        each tool: its class, early or held, why, and the line that would change it
    runtime      mode, who guesses
    journal      reachable, migrated, what is open, abandoned or stuck in it

What knows LangGraph is in `specflow.graph.examine`; `examine` puts it all together.
"""
