"""What earlier runs teach about the next call: when a tool is called, and where its arguments come from."""
