"""One method a module, found by its name; each has `init` and `step`."""
