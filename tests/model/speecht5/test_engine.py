"""The SpeechT5 engine against transformers' own `generate` for each clip alone, with random weights."""

import numpy as np
import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    SpeechT5Config,
    SpeechT5FeatureExtractor,
    SpeechT5ForSpeechToText,
    SpeechT5ForTextToSpeech,
    SpeechT5Processor,
    SpeechT5Tokenizer,
)

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.source import open_source
from earmark.model.speecht5.engine import SpeechT5, receptive_field
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.audio.clips import clip_of, clips_of, make_samples, segment_tasks_of
from tests.support.checkpoints.checked_models import check_model
from tests.support.checkpoints.small_qwen2_audio import edit_json

pytestmark = pytest.mark.model

TASKS = JobOptions().tasks()
SECONDS = (1.0, 2.5, 1.0, 0.7, 1.0)  # three of one length
BEAM = 3
SIZES = {
    "hidden_size": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "conv_dim": (16,) * 7,  # kernels and strides stay the published ones
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "max_text_positions": 30,
    "speech_decoder_prenet_units": 16,
    "speech_decoder_postnet_units": 16,
}


def write_small_speecht5(folder, network_class=SpeechT5ForSpeechToText, seed=1):
    """Write a checkpoint with random weights and return its folder."""
    text = folder / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 4)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "spm_char"),
        model_type="char",
        vocab_size=32,
        hard_vocab_limit=False,
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    tokenizer = SpeechT5Tokenizer(str(folder / "spm_char.model"))
    torch.manual_seed(seed)
    network = network_class(SpeechT5Config(vocab_size=len(tokenizer), **SIZES)).eval()
    spread(network, torch.Generator().manual_seed(seed))
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SpeechT5FeatureExtractor().save_pretrained(folder)
    return folder


@torch.no_grad()
def spread(network, random):
    """Draw weights large enough that the audio decides the text."""
    for name, weight in network.named_parameters():
        if weight.ndim >= 2 and "parametrizations" not in name:
            scale = 2 if "embed" in name else 8
            weight.normal_(0, scale * weight[0].numel() ** -0.5, generator=random)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_speecht5(tmp_path_factory.mktemp("speecht5"))


@pytest.fixture(scope="module")
def clips():
    return clips_of(SECONDS)


def open_cpu(folder, **options):
    return SpeechT5(str(folder), JobOptions(device="cpu", model_threads=1, **options))


def transcripts(engine, clips):
    results = engine.annotate(clips, TASKS)
    assert not [result for result in results if isinstance(result, RowError)]
    return [result["transcribe"] for result in results]


@pytest.mark.parametrize("beam_size", [1, BEAM])
@pytest.mark.parametrize("seed", [1, 2])  # answers that are cut at the limit, and answers that end before it
def test_text_and_log_probability_equal_those_of_generate_for_each_clip_alone(clips, tmp_path, seed, beam_size):
    folder = write_small_speecht5(tmp_path, seed=seed)
    network = SpeechT5ForSpeechToText.from_pretrained(folder, dtype=torch.float32).eval()
    processor = SpeechT5Processor.from_pretrained(folder)
    batched = transcripts(open_cpu(folder, beam_size=beam_size), clips)
    assert len({transcript.text for transcript in batched}) >= 3, "the clips must have different transcripts"
    assert [("truncated" in transcript.flags) for transcript in batched] == [seed == 1] * len(clips)
    for clip, transcript in zip(clips, batched, strict=True):
        inputs = processor(audio=clip.samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        options = {"num_beams": beam_size, "return_dict_in_generate": True, "output_scores": True}
        output = network.generate(**inputs, max_length=SIZES["max_text_positions"], **options)
        assert transcript.text == processor.batch_decode(output.sequences, skip_special_tokens=True)[0].strip()
        if beam_size == 1:
            steps = network.compute_transition_scores(output.sequences, output.scores, normalize_logits=True)
            assert transcript.avg_logprob == pytest.approx(float(steps.mean()), abs=1e-4)
        else:
            assert transcript.avg_logprob == pytest.approx(float(output.sequences_scores[0]), abs=1e-4)


def test_only_segments_of_one_length_share_a_batch(folder):
    lengths = [16_000, 30_000, 16_000, 16_001, 16_000]
    batches = open_cpu(folder).plan_batches(segment_tasks_of(lengths))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert sorted(map(len, batches)) == [1, 1, 3]
    assert all(len({lengths[index] for index in batch}) == 1 for batch in batches)
    pairs = open_cpu(folder, batch_s=30.0).plan_batches(segment_tasks_of([SAMPLE_RATE_HZ * 15] * 5))
    assert sorted(map(len, pairs)) == [1, 2, 2]


def test_segments_are_joined_and_timed_in_the_file(folder, clips):
    engine = open_cpu(folder)
    samples = np.concatenate([clips[0].samples, clips[2].samples, clips[4].samples])
    (joined,) = transcripts(engine, [clip_of(samples, speech=(True, False, True), offset_s=10.0, language="de")])
    first, last = (transcripts(engine, [clips[index]])[0].text for index in (0, 4))
    assert (joined.text, joined.language) == (f"{first} {last}", "de")
    assert [time_s for segment in joined.segments for time_s in (segment.start_s, segment.end_s)] == [
        10.0,
        11.0,
        12.0,
        13.0,
    ]


def test_segments_shorter_than_the_receptive_field_are_padded(folder):
    assert receptive_field(SpeechT5Config().conv_kernel, SpeechT5Config().conv_stride) == 400  # 25 ms, as documented
    (transcript,) = transcripts(open_cpu(folder), [clip_of(make_samples(0.01, 1))])
    assert transcript.avg_logprob is not None


def test_text_cut_at_the_limit_is_flagged(folder, clips):
    engine = open_cpu(folder)
    with engine._replicas.acquire() as network:
        network._network.generation_config.suppress_tokens = [2]  # the end token
    (transcript,) = transcripts(engine, clips[:1])
    assert "truncated" in transcript.flags


def test_the_engine_is_chosen_from_the_checkpoint(folder):
    check_model(folder, beam_size=2)
    assert isinstance(open_source(find_checkpoint(str(folder)), JobOptions(device="cpu")), SpeechT5)


def test_parameter_names_of_older_files_are_read(folder, clips, tmp_path):
    """As published: weight norm under its old names, and buffers that are computed nowadays."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    renames = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for new, old in renames.items():
            name = name.replace(new, old)
        weights[name] = tensor
    assert any(name.endswith("weight_g") for name in weights)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    check_model(tmp_path)
    assert transcripts(open_cpu(tmp_path), clips[:1])[0] == transcripts(open_cpu(folder), clips[:1])[0]


def test_a_text_to_speech_checkpoint_is_refused(tmp_path):
    text_to_speech = write_small_speecht5(tmp_path, SpeechT5ForTextToSpeech)
    message = (
        "is SpeechT5ForTextToSpeech, which does another task than SpeechT5ForSpeechToText; name a checkpoint of that"
    )
    with pytest.raises(JobError, match=message):
        check_model(text_to_speech)
    edit_json(text_to_speech / "config.json", architectures=None)
    with pytest.raises(JobError, match="tensors are in none of the weight files"):
        check_model(text_to_speech)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": ("translate",)}, "is SpeechT5, which only transcribes; for translate name another"),
        ({"timestamps": True}, "--timestamps does not work"),
    ],
)
def test_unsupported_tasks_and_options_are_refused(folder, options, message):
    with pytest.raises(JobError, match=message):
        check_model(folder, **options)


def test_a_missing_tokenizer_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        if path.name != "spm_char.model":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(JobError, match=r"spm_char.model missing in .*; get the whole checkpoint"):
        check_model(tmp_path)
