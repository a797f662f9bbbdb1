"""DOVER: two networks and two heads that tell how a video is composed and how free of faults it is."""
