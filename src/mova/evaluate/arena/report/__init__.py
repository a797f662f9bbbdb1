"""What an arena says, for programs, readers and browsers."""
