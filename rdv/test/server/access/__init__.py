"""Who may use a server."""
