"""ImageBind: images and sounds in one space, in which what belongs together is near. CC-BY-NC-SA-4.0: not for sale."""
