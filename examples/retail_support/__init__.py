"""Support of a shop: an agent that reserves early, and asks at the terminal before it pays money back."""
