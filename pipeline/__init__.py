"""What people start: the graph on one screen, the launch of a run, the commands. Imports all else."""
