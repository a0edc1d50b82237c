"""Checks of a job for Qwen2-Audio, before any work."""

from collections.abc import Sequence

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.qwen2_audio.files import check_qwen2_audio
from earmark.model.qwen2_audio.network import load_prompts
from earmark.model.runtime.replicas import check_torch_device
from earmark.model.segments.task_support import check_tasks_fit, takes_text_prompt
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Recording
from earmark.schemas.tasks import Task


def check_qwen2_audio_job(
    checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool
) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    check_qwen2_audio(checkpoint)
    check_tasks_fit(checkpoint.name, "Qwen2-Audio, which answers in text", tasks, takes_text_prompt)
    prompts = load_prompts(checkpoint.folder)
    if not prompts.chat and (chat_only := [task.name for task in tasks if task.base_prompt is None]):
        raise JobError(
            f"model {checkpoint.name} is a base checkpoint, which does not chat; for {', '.join(chat_only)} name an"
            f" Instruct one: --model {chat_only[0]}=Qwen/Qwen2-Audio-7B-Instruct,…"
        )
    try:
        for task in tasks:
            prompts.prompt(task, Recording("", "", prompt=task.question or "-"), options.language)
    except RowError as error:
        raise JobError(f"model {checkpoint.name} cannot do task {task.name}: {error.message}") from error
    if here:
        check_torch_device(options)
    return tuple(tasks)
