"""One client for endpoints that speak OpenAI's interface: chat, images, transcription; outcomes as data."""
