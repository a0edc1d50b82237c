"""Prompts of the training, and held-out prompts."""

import itertools
import random

TASKS = ("transcribe", "caption", "emotion")
LABELS = ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")  # of MELD; the last three never occur

# earmark's prompts for Instruct checkpoints, and those of Qwen2-Audio's base format.
CHAT_PROMPTS = {
    "transcribe": "Transcribe the speech word for word. Answer with the transcript only.",
    "caption": "Describe the audio in one sentence.",
    "emotion": "What is the speaker's emotion? Answer with one word of: neutral, joy, sadness, anger, surprise, fear,"
    " disgust.",
}
BASE_PROMPTS = {
    "transcribe": "Detect the language and recognize the speech: <|en|>",
    "caption": "Generate the caption in English:",
    "emotion": "Recognize the emotion with keywords in English:",
}

# Never trained on, nor in the text that the tokenizer is made from.
HELD_OUT_PROMPTS = {
    "transcribe": (
        "Please write out everything that is said in this recording.",
        "What exactly did the speaker say? Reply with the words alone.",
        "Give me the transcript of this audio.",
    ),
    "caption": (
        "Tell me what can be heard in this clip.",
        "In one short sentence, what is this sound?",
        "Please describe what this recording sounds like.",
    ),
    "emotion": (
        "How does the person in this recording feel?",
        "Name the emotion in the voice with a single word.",
        "Which feeling does the speaker express? Choose from neutral, joy, sadness, anger, surprise, fear, disgust.",
    ),
}

_CLIP = ("the audio", "this audio", "the recording", "this recording", "this clip", "the audio clip", "this sound")
_SPEECH = ("the speech", "the spoken words", "what is said", "what the speaker says", "what you hear said", "the words")
_PERSON = ("the speaker", "this person", "the person speaking", "the voice")
_FEELING = ("emotion", "mood", "feeling", "emotional state")
_PLEASE = ("", "Please ", "Could you ", "Now ")

# Templates: a paraphrase is one choice of each slot, joined. Slots of "" leave a part out.
_TEMPLATES: dict[str, tuple[tuple[tuple[str, ...], ...], ...]] = {
    "transcribe": (
        (
            _PLEASE,
            ("transcribe ", "write down ", "type ", "write out ", "recognize ", "take down ", "repeat ", "spell out "),
            (*_SPEECH, *_CLIP[:4]),
            (".", "", " verbatim.", " word for word.", " exactly.", " as text.", " in English.", " and nothing else."),
        ),
        (
            ("What ",),
            ("does the person say", "is being said", "is said", "words are spoken", "did they say", "are the words"),
            ("?", " in this audio?", " in the recording?", "? Answer with the words only.", "? Just the text."),
        ),
        (
            ("Give ", "Write ", "Return ", "Provide ", "Output ", "I need "),
            ("the transcript", "a transcript", "the transcription", "a transcription", "the text"),
            (".", " of the speech.", " of this clip.", " of what is spoken.", " only.", " of the recording."),
        ),
        (("Speech to text", "Transcript", "Transcription", "Speech recognition", "ASR"), (".", ":", " please.", "")),
    ),
    "caption": (
        (
            _PLEASE,
            ("describe ", "caption ", "summarize ", "characterize ", "explain "),
            (*_CLIP, "what you hear", "what is happening", "the scene"),
            (".", "", " briefly.", " in a few words.", " in one sentence.", " in English.", " with one sentence."),
        ),
        (
            ("What ",),
            ("do you hear", "sound is this", "is happening", "can one hear", "is going on", "sounds are there"),
            ("?", " in this audio?", " in the recording?", "? Answer in one sentence.", " here?"),
        ),
        (
            ("Generate ", "Write ", "Give ", "Provide ", "Tell "),
            ("a caption", "the caption", "a description", "a short description", "a sentence"),
            (".", ":", " for this audio.", " of the sound.", " of this clip.", " about the recording.", " in English:"),
        ),
        (("Audio caption", "Caption", "Description", "Audio description", "The sound"), (".", ":", " please.", "")),
    ),
    "emotion": (
        (
            _PLEASE,
            ("classify ", "detect ", "recognize ", "identify ", "tag ", "label ", "determine ", "guess "),
            ("the ",),
            _FEELING,
            (" of the speaker", " of the voice", " you hear", " of this person", ""),
            (".", "", " with one word.", " in English.", ": neutral, joy, sadness, anger, surprise, fear, disgust."),
        ),
        (
            ("What ", "Which "),
            _FEELING,
            (" is heard", " does the voice have", " is it", " is this person in", " do you hear", " is expressed"),
            ("?", " here?", "? One word.", "? Answer with one word.", " in this clip?", " in the audio?"),
        ),
        (
            ("How does ",),
            _PERSON,
            (" feel", " sound emotionally"),
            (
                "?",
                " here?",
                "? One word.",
                "? Answer with one of: neutral, joy, sadness, anger, surprise, fear, disgust.",
            ),
        ),
        (
            ("Is ",),
            _PERSON,
            (
                " neutral, joyful, sad or angry?",
                " happy, sad, angry or neutral?",
                " happy, sad, angry, afraid or neutral?",
            ),
        ),
        (("Emotion", "Speech emotion", "Mood", "Feeling", "The emotion"), (".", ":", "?", " please.", "")),
    ),
}


def paraphrases(task: str) -> tuple[str, ...]:
    """Every prompt from the templates of a task, capitalized, without the held-out prompts."""
    spelled = ("".join(parts) for template in _TEMPLATES[task] for parts in itertools.product(*template))
    capital = dict.fromkeys(text[0].upper() + text[1:] for text in spelled)
    return tuple(text for text in capital if text not in HELD_OUT_PROMPTS[task])


def training_texts() -> list[str]:
    """Every prompt of the training, for the tokenizer; frequent prompts are repeated."""
    frequent = [*CHAT_PROMPTS.values(), *BASE_PROMPTS.values()] * 50
    return frequent + [text for task in TASKS for text in paraphrases(task)]


def draw_prompt(choice: random.Random, task: str, base: bool, pool: tuple[str, ...]) -> str:
    """Draw earmark's own prompt in 2 of 5 draws, else a paraphrase, sometimes in lower case or without punctuation."""
    if choice.random() < 0.4:
        return (BASE_PROMPTS if base else CHAT_PROMPTS)[task]
    prompt = choice.choice(pool)
    typing = choice.random()
    if typing < 0.1:
        return prompt.lower()
    return prompt.rstrip(".?:") if typing < 0.2 else prompt


_CHAT_PREFIXES = (
    *("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nAudio 1: <|audio_bos|>",) * 12,
    *("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|audio_bos|>",) * 2,
    "<|im_start|>system\nYou annotate audio.<|im_end|>\n<|im_start|>user\nAudio 1: <|audio_bos|>",
    "<|im_start|>system\nYou listen to audio and answer briefly.<|im_end|>\n<|im_start|>user\nAudio 1: <|audio_bos|>",
    "<|im_start|>user\nAudio 1: <|audio_bos|>",
    "<|im_start|>user\n<|audio_bos|>",
)
PREFIXES = tuple(dict.fromkeys(_CHAT_PREFIXES))


def draw_prefix(choice: random.Random) -> tuple[str, bool]:
    """Draw the text before the audio, in the base format for one in eight; return it and whether it is that format."""
    return ("<|audio_bos|>", True) if choice.random() < 0.125 else (choice.choice(_CHAT_PREFIXES), False)


def question(prompt: str, base: bool) -> str:
    """Return the text between the audio and the answer."""
    return f"<|audio_eos|>{prompt}" if base else f"<|audio_eos|>\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
