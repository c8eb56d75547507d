"""One module per kind of source, found by its name: `load(**data.args) -> Source`."""
