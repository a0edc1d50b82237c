"""Whether a Whisper checkpoint can do what a job asks of it, whatever runs it."""

from collections.abc import Sequence

from earmark.model.segments.task_support import check_tasks_fit
from earmark.model.whisper.languages import ENGLISH_ONLY, spoken_language
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task


def check_whisper_tasks(name: str, options: JobOptions, tasks: Sequence[Task], languages: frozenset[str]) -> None:
    """Raises JobError where a task, its language, or --language is none of a checkpoint with such languages."""
    if languages == ENGLISH_ONLY:
        about = "an English-only Whisper, which transcribes and does nothing else"
        check_tasks_fit(name, about, tasks, lambda task: task.answer == "transcript" and not task.target_language)
    about = "Whisper, which transcribes, and translates into English"
    check_tasks_fit(name, about, tasks, lambda task: task.answer == "transcript")
    if others := [task for task in tasks if task.target_language not in ("", "en")]:
        raise JobError(
            f"--translate_to={others[0].target_language} does not work: model {name} is Whisper, which translates into"
            f" English only; leave it out, or name another model: --model {others[0].name}=…"
        )
    try:
        if options.language:
            spoken_language(options.language, languages)
    except RowError as error:
        raise JobError(f"--language={options.language} does not work: {error.message}") from error
