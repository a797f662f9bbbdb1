"""The server of an arena, and the page that raters see."""
