"""Adapters to other projects' tools."""
