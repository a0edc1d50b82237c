"""MkDocs hook: adds Markdown files from outside docs/ to the site.

Links in the sources are relative to the repository; this hook rewrites them to the pages of the site.
"""

import os.path
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
# Source file -> page of the site.
OUTSIDE = {
    "BENCHMARKS.md": "outside/benchmarks.md",
    "CONTRIBUTING.md": "outside/contributing.md",
    "CHANGELOG.md": "outside/changelog.md",
    "README.md": "index.md",
    "examples/own-engine/README.md": "outside/own-engine.md",
    "examples/phone-prompts/README.md": "outside/phone-prompts.md",
    "examples/scenes/README.md": "outside/scenes.md",
    "examples/tiny-qwen2-audio/README.md": "outside/tiny-qwen2-audio.md",
}
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in OUTSIDE.items():
        if page.startswith("outside/"):
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its links rewritten; a dead link stays as it is, so that MkDocs reports it."""
    uri = page.file.src_uri
    source = next((source for source, outside in OUTSIDE.items() if outside == uri), f"docs/{uri}")

    def site_link(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        target = OUTSIDE.get(target, target.removeprefix("docs/"))
        return f"]({os.path.relpath(target, posixpath.dirname(uri) or '.')}{link[2] or ''})"

    return LINK.sub(site_link, markdown) if uri.startswith("outside/") or "../" in markdown else markdown
