"""specflow: speculative tool execution for LangGraph agents, safe enough for production."""
