"""How a database is asked: statements as values, and the drivers that run them."""
