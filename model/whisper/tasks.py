"""Checks of a job's tasks against a Whisper checkpoint, whatever runs it."""

from collections.abc import Sequence

from earmark.model.segments.task_support import check_tasks_fit
from earmark.model.whisper.languages import ENGLISH_ONLY, spoken_language
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task


def check_whisper_tasks(name: str, options: JobOptions, tasks: Sequence[Task], languages: frozenset[str]) -> None:
    """Raise JobError if the checkpoint does not support a task, its target language, or --language."""
    if languages == ENGLISH_ONLY:
        about = "an English-only Whisper, which can only transcribe"
        check_tasks_fit(name, about, tasks, lambda task: task.answer == "transcript" and not task.target_language)
    about = "Whisper, which transcribes, and translates into English"
    check_tasks_fit(name, about, tasks, lambda task: task.answer == "transcript")
    if not_english := [task for task in tasks if task.target_language not in ("", "en")]:
        task = not_english[0]
        raise JobError(
            f"--translate_to={task.target_language} does not work: model {name} is Whisper, which translates into"
            f" English only; leave it out, or name another model: --model {task.name}=…"
        )
    try:
        if options.language:
            spoken_language(options.language, languages)
    except RowError as error:
        raise JobError(f"--language={options.language} does not work: {error.message}") from error
