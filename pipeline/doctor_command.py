"""`earmark doctor`."""

from pipeline.scoring_commands import Commands


def add_doctor_command(commands: Commands) -> None:
    pass
