"""A hook of MkDocs: pages of the project that lie outside docs/ are pages of the site too.

Links between pages are written as they are right in the repository, and led to the site's own pages here.
"""

import os.path
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
# Pages of the site by the file that they are made of.
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
    """The page with links to the site's pages; one that leads nowhere stays, and MkDocs warns of it."""
    uri = page.file.src_uri
    source = next((source for source, outside in OUTSIDE.items() if outside == uri), f"docs/{uri}")

    def site_link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        target = OUTSIDE.get(target, target.removeprefix("docs/"))
        return f"]({os.path.relpath(target, posixpath.dirname(uri) or '.')}{found[2] or ''})"

    return LINK.sub(site_link, markdown) if uri.startswith("outside/") or "../" in markdown else markdown
