"""The graph on one screen, the launch of a run, and the commands. May import all other packages."""
