"""Where weights are while they do not compute: in host memory or in files, and how they reach the device in time."""
