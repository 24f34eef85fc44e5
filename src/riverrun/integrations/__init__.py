"""What lends riverrun to other frameworks, one module for each."""
