"""One penalty at many strengths."""
