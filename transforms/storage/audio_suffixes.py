"""File name suffixes by which files of a folder, a tar or a Parquet row are recognized as recordings."""

_NAMES = "wav flac mp3 ogg oga opus m4a mp4 aac webm mka mkv amr gsm g722 aif aiff au wma wv caf"
AUDIO_SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
