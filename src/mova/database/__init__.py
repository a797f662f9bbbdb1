"""Databases: SQLite or PostgreSQL, spoken to in plain SQL, their tables made and changed by migrations."""
