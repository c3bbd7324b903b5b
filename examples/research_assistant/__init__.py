"""A research assistant: a hand-built graph whose slow tools are those of a library's MCP server."""
