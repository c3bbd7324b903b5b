"""A trip as a declared process: it prefetches by data flow, asks, and takes back what it booked."""
