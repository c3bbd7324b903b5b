"""A chat with somebody who waits for a parcel: an early read that outlives its run."""
