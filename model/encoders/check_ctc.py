"""Checks of a CTC model's job before any work."""

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoModelForCTC

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.encoders.check_encoder import architecture, check_encoder
from earmark.model.encoders.ctc_text import VOCABULARY, CtcDecoder, adapter_languages, choose_language
from earmark.model.runtime.replicas import check_torch_device
from earmark.model.segments.task_support import check_tasks_fit
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task

EXAMPLE = "facebook/wav2vec2-large-960h-lv60-self"


def check_ctc_job(checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    folder = Path(checkpoint.folder)
    kind = architecture(folder)
    if not kind.endswith("ForCTC"):
        raise JobError(
            f"model {checkpoint.name} is {kind or 'of an architecture that config.json does not name'}, which was"
            f" not trained to write text: name a checkpoint that was fine-tuned to transcribe (…ForCTC), for"
            f" example {EXAMPLE}"
        )
    check_tasks_fit(checkpoint.name, "a CTC model, which transcribes", tasks, lambda task: task.name == "transcribe")
    check_encoder(checkpoint, AutoModelForCTC, "tokenizer.json" if kind == "ParakeetForCTC" else VOCABULARY)
    try:
        languages = adapter_languages(folder)
        CtcDecoder(checkpoint.folder, *languages[:1])
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise JobError(f"model {checkpoint.name}: its tokenizer cannot be loaded: {error}") from error
    if languages and options.language:
        try:
            choose_language(options.language, languages)
        except RowError as error:
            raise JobError(f"--language={options.language} does not work: {error.message}") from error
    if here:
        check_torch_device(options)
    return tuple(tasks)
