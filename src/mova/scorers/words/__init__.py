"""Words of the prompt in the clip: lines that are said, texts that can be read, sounds that are heard."""
