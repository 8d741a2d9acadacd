"""Templates, languages and messages turned into HTML."""
