"""Parts of web pages that need nothing from elsewhere: player, tables, charts, styles, security headers."""
