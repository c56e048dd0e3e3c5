"""Where the pixels are, who owns them, and what is already done. No network is computed here."""
