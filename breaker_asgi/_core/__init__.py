"""The core: decides. It needs the standard library only, does no I/O and starts no thread."""
