"""Who users and organizations are, and how a person proves to be one of them."""
