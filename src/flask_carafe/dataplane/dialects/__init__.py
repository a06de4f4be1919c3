"""What other servers' clients speak: one file (or a few that share its name) for each dialect, all over the same decoder and encoder."""
