"""LANGGRAPH: the only package that imports langgraph and langchain."""
