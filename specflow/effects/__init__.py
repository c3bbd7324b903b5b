"""WHAT A TOOL MAY DO: effect classes, annotations, tool specifications, calls and their fingerprints."""
