"""A served model: any endpoint that takes audio in OpenAI's chat completions or audio transcriptions.

Each segment is sent as a WAV file of its own, once for each task, and all of a shard are in flight together, up to
--endpoint_requests. The model behind the endpoint is unknown, so it gets the prompts of an Instruct checkpoint.
"""

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.model.segments.language_codes import language_code
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask, label_weight, spoken_part
from earmark.model.segments.task_support import check_prompt, check_tasks_fit, takes_text_prompt
from earmark.model.segments.text_flags import answer_flags
from earmark.model.served.client import EndpointClient
from earmark.model.served.endpoint import Endpoint
from earmark.model.served.parse_label import find_indistinguishable, label_logprobs, match_label
from earmark.model.served.server_text import shortened
from earmark.model.served.wav import wav_of
from earmark.schemas.answers.kind import AnswerPart
from earmark.schemas.answers.label import ChosenPart, LabelPart
from earmark.schemas.answers.spoken import SpokenPart
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Recording
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")
TOP_LOGPROBS = 20  # the most that OpenAI's API, vLLM and Gemini return


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One task about one segment."""

    piece: SegmentTask
    task: Task
    prompt: str


class ServedModel(SegmentEngine):
    """An engine that sends segments to an endpoint; safe to call from several threads, which share --endpoint_requests.

    Raises:
        JobError: The key in the environment is not a valid key.
    """

    def __init__(self, endpoint: Endpoint, options: JobOptions):
        self._endpoint, self._options = endpoint, options
        self._client = _client(endpoint, options)
        log.info("%s, %d requests at a time", endpoint.name, options.endpoint_requests)

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        if any(task.needs_speech for task in tasks):
            self._language(recording)
        return tuple(_prompt(task, recording) for task in tasks)

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """One batch: the server makes batches of its own."""
        return [list(range(len(segment_tasks)))] if segment_tasks else []

    def infer(self, pieces: Sequence[SegmentTask]) -> list[Parts | RowError]:
        questions = [
            _Question(piece, task, prompt)
            for piece in pieces
            for task, prompt in zip(piece.tasks, piece.prompts, strict=True)
        ]
        answers = iter(self._client.send_all(self._part, questions))
        return [_named_parts(piece, [next(answers) for _ in piece.tasks]) for piece in pieces]

    def _part(self, question: _Question) -> AnswerPart | RowError:
        try:
            return self._transcribe(question) if self._endpoint.protocol == "transcriptions" else self._chat(question)
        except RowError as error:
            return error

    def _transcribe(self, question: _Question) -> SpokenPart:
        """The answer of an endpoint of audio/transcriptions."""
        wav, language = wav_of(question.piece.samples), self._language(question.piece.clip.recording)
        if question.task.target_language:
            return _text_part(question, self._client.translate(wav), False, question.task.target_language)
        return _text_part(question, self._client.transcribe(wav, language), False, language)

    def _chat(self, question: _Question) -> AnswerPart:
        """The answer of an endpoint of chat/completions."""
        piece, task = question.piece, question.task
        is_label = task.answer == "label"
        messages = [_message(wav_of(piece.samples), question.prompt)]
        reply = self._client.chat(messages, task.max_new_tokens, TOP_LOGPROBS if is_label else 0)
        if not is_label:
            language = task.target_language or self._language(piece.clip.recording) if task.needs_speech else None
            return _text_part(question, reply.text.strip(), reply.finish_reason == "length", language)
        label = match_label(reply.text, task.labels)
        if label is None:
            text = shortened(reply.text)
            raise RowError("label", f"the answer to {task.name} is {text!r}, which is not one of the labels")
        logprobs = label_logprobs(reply.tokens or (), label, task.labels)
        if logprobs is None:
            return ChosenPart(label_weight(piece), label)
        return LabelPart(label_weight(piece), logprobs, (1,) * len(logprobs))

    def _language(self, recording: Recording) -> str | None:
        """The code of a recording's language, None where it is not given; raises RowError for an unknown language."""
        return language_code(recording.language or self._options.language)


def check_job(endpoint: Endpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job; a request is sent only where the job runs here: other machines may not reach it."""
    if endpoint.protocol == "chat":
        check_tasks_fit(endpoint.name, "a served chat model, which answers in text", tasks, takes_text_prompt)
    else:
        about = "a served transcriber, which transcribes and translates into English"
        check_tasks_fit(endpoint.name, about, tasks, _is_transcribed)
    for task in tasks:
        if twins := find_indistinguishable(task.labels):
            raise JobError(
                f"task {task.name}: a served model's answer {twins[1]!r} cannot be distinguished from {twins[0]!r},"
                " because case and punctuation do not count; rename the labels"
            )
    try:
        language_code(options.language)
    except RowError as error:
        raise JobError(f"--language={options.language} does not work: {error.message}") from error
    if here:
        client = _client(endpoint, options)
        silence = wav_of(np.zeros(SAMPLE_RATE_HZ, np.float32))
        if endpoint.protocol == "chat":
            client.check(lambda: client.chat([_message(silence, "Describe the audio.")], 1))
        else:
            client.check(lambda: client.transcribe(silence))
    return tuple(tasks)


def open_engine(endpoint: Endpoint, options: JobOptions) -> ServedModel:
    """As EngineModule.open_engine."""
    return ServedModel(endpoint, options)


def _client(endpoint: Endpoint, options: JobOptions) -> EndpointClient:
    return EndpointClient(endpoint, options.endpoint_requests, options.endpoint_timeout_s)


def _is_transcribed(task: Task) -> bool:
    return task.answer == "transcript" and task.target_language in ("", "en")


def _prompt(task: Task, recording: Recording) -> str:
    prompt = task.prompt(True, None, recording.prompt)
    check_prompt(task, prompt)
    return prompt


def _message(wav: bytes, prompt: str) -> dict[str, object]:
    """The user's turn: a WAV file, and the prompt where there is one."""
    audio = {"type": "input_audio", "input_audio": {"data": base64.b64encode(wav).decode(), "format": "wav"}}
    return {"role": "user", "content": [audio, {"type": "text", "text": prompt}] if prompt else [audio]}


def _text_part(question: _Question, text: str, truncated: bool, language: str | None) -> SpokenPart:
    """The answer part of a text without times and log-probabilities."""
    flags = answer_flags(question.task, text, question.piece.duration_s, truncated)
    return spoken_part(question.piece, text, flags, language=language)


def _named_parts(piece: SegmentTask, parts: Sequence[AnswerPart | RowError]) -> Parts | RowError:
    """The parts by task, or the first error."""
    named: dict[str, AnswerPart] = {}
    for task, part in zip(piece.tasks, parts, strict=True):
        if isinstance(part, RowError):
            return part
        named[task.name] = part
    return named
