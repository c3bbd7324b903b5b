"""Applications that use specflow.

    travel              the travel desk of `specflow demo`: a real bookings office, and an agent
    travel_desk         a workflow that prefetches, asks, and takes back what it booked
    retail_support      an agent that writes early, and asks at a terminal before money moves
    research_assistant  a hand-built graph whose slow tools are those of an MCP server
    parcel_chat         an agent that answers first, and whose early read outlives its run

    running.py          what the last four share: a model for machines without a key, an account at the end

In each folder `app.py` is what you would write; the rest makes it run here.
"""
