"""One module a kind of source, found by its name: `load(**data.args) -> Source`."""
