"""A report opened from disk in Debian's Chromium: it works, sends no requests, and is accessible."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from earmark.reporting.report.options import ReportOptions
from earmark.reporting.report.report import write_report
from tests.support.jobs import run_here, write_manifest, write_tone, write_tones
from tests.support.outputs.builder import Row, write_output
from tests.support.outputs.report_rows import EMOTIONS, HOSTILE, TASKS, write_hostile_output

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

TONES = 60  # more than one page of the table
PHONE, DESKTOP = (390, 844), (1280, 800)


@dataclass
class Opened:
    """A page in the browser, with its console messages and its requests."""

    page: "playwright.Page"
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def ids(self):
        return self.page.locator(".open bdi").all_inner_texts()


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    assert chromium, "there is no chromium on the PATH; `make test-report` installs it"
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser, path, **options):
    opened_page = Opened(browser.new_page(**{"viewport": {"width": DESKTOP[0], "height": DESKTOP[1]}, **options}))
    opened_page.page.set_default_timeout(20_000)
    opened_page.page.on("console", lambda message: opened_page.console.append(message.text))
    opened_page.page.on("pageerror", lambda error: opened_page.console.append(str(error)))
    opened_page.page.on("request", lambda request: opened_page.requests.append(request.url))
    opened_page.page.goto(path.as_uri())
    return opened_page


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of a real run over tones, one of which is deleted before the report is written."""
    folder = tmp_path_factory.mktemp("run")
    rows = write_tones(folder / "tones", TONES)
    for number in (5, 42, 59):  # the worst answers are among those with audio
        rows[number]["text"] = "something else entirely"
    run_here(write_manifest(folder / "m.jsonl", rows), folder / "out", task=TASKS)
    (folder / "tones" / "tone5.wav").unlink()
    write_report(str(folder / "out"), ReportOptions(to=str(folder / "report.html"), clips=6))
    return folder / "report.html"


@pytest.fixture(scope="module")
def made_report(tmp_path_factory):
    """A report of made-up answers with flags, failures and labels."""
    folder = tmp_path_factory.mktemp("made")
    tone = str(write_tone(folder / "tone.wav", seconds=3))
    rows = [
        Row(
            f"row {number}",
            {"transcribe": f"{number % 7} green", "caption": "A tone.", "emotion": EMOTIONS[number % 3]},
            reference="red green",
            score=0.3 + 0.007 * number,
            flags=("repetition",) if number % 10 == 3 else (),
            uri=tone,
        )
        for number in range(90)
    ]
    write_output(folder / "out", [*rows, Row("failed", None)], task=TASKS)
    write_report(str(folder / "out"), ReportOptions(to=str(folder / "report.html"), clips=4))
    return folder / "report.html"


@pytest.fixture
def page(browser, report):
    opened = open_page(browser, report)
    yield opened
    assert_silent(opened, report)
    opened.page.close()


@pytest.fixture
def made(browser, made_report):
    opened = open_page(browser, made_report)
    yield opened
    assert_silent(opened, made_report)
    opened.page.close()


def assert_silent(opened, path):
    """The page has written nothing to the console and loaded nothing but itself."""
    assert opened.console == []
    assert {url for url in opened.requests if not url.startswith("data:")} == {path.as_uri()}


def test_the_table_has_pages_of_rows(page):
    first = page.ids()
    assert len(first) == 50
    assert page.page.locator("#previous").is_disabled()
    page.page.locator("#next").click()
    second = page.ids()
    assert len(second) == TONES - 50 and not set(first) & set(second)
    assert page.page.locator("#next").is_disabled()


def test_every_column_sorts_in_both_directions_and_back(page):
    most_suspect_first = page.ids()
    for number in range(page.page.locator("#headers th").count()):
        header = page.page.locator("#headers th").nth(number)
        orders = []
        for sort in ("ascending", "descending", "none"):
            header.locator("button").click()
            assert header.get_attribute("aria-sort") == sort
            orders.append(page.ids())
        assert orders[2] == most_suspect_first
    page.page.get_by_role("button", name="recording", exact=True).click()
    assert page.ids() == [f"r{number:04d}" for number in range(50)]
    page.page.get_by_role("button", name="length").click()
    page.page.get_by_role("button", name="length").click()
    assert page.ids() == [f"r{number:04d}" for number in range(TONES - 1, TONES - 51, -1)]


def test_sorting_works_from_the_keyboard(page):
    page.page.locator("#headers button").first.focus()
    page.page.keyboard.press("Enter")
    assert page.ids()[0] == "r0000"
    page.page.locator(".open").first.focus()
    page.page.keyboard.press("Space")
    assert page.page.locator(".inside audio").count() == 1


def test_the_search_filters_the_rows(page):
    page.page.get_by_label("Search").fill("R0042")
    assert page.ids() == ["r0042"]
    page.page.get_by_label("Search").fill("no such text")
    assert page.ids() == []
    assert page.page.get_by_role("status").inner_text() == "No rows match."
    page.page.get_by_role("button", name="Clear").click()
    assert len(page.ids()) == 50


def test_rows_can_be_filtered_by_label_and_flag(made):
    assert made.ids()[0] != "row 0"
    made.page.locator("#label-filters select").select_option("joy")
    assert "1 to 30 of 30" in made.page.get_by_role("status").inner_text()
    made.page.locator("#flag").select_option("=repetition")
    assert sorted(made.ids()) == ["row 13", "row 43", "row 73"]
    made.page.get_by_label("with embedded audio").check()
    assert len(made.ids()) < 3


def test_failures_and_scores_are_shown(made):
    assert "not_found in DecodeAudio" in made.page.locator("#failures").inner_text()
    assert "there is no such file" in made.page.locator("#failures").inner_text()
    made.page.get_by_text("Worst answers").first.click()
    assert made.page.locator(".aligned pre").first.inner_text() == "RED green\n0   green"
    link = made.page.locator(".to-row").first
    id = link.locator("bdi").inner_text()
    link.click()
    assert made.ids() == [id] and made.page.locator(".inside").is_visible()


def test_an_open_row_has_its_plots_and_all_its_answers(page):
    page.page.get_by_label("Search").fill("r0042")
    opener = page.page.locator(".open")
    assert opener.get_attribute("aria-expanded") == "false"
    opener.click()
    assert opener.get_attribute("aria-expanded") == "true"
    inside = page.page.locator(".inside")
    assert [title.split()[0] for title in inside.locator("h3").all_inner_texts()][:4] == ["reference,", *TASKS]
    assert inside.locator(".clip svg path").count() >= 1
    assert inside.locator(".clip img").evaluate("image => image.complete && image.naturalWidth") > 0
    assert inside.locator(".scores meter").count() == 7
    assert "tone42.wav" in inside.inner_text()
    opener.click()
    assert not inside.is_visible()


def test_a_clip_plays(page):
    page.page.get_by_label("Search").fill("r0059")
    page.page.locator(".open").click()
    player = page.page.locator(".inside audio")
    play_to_end = "player => player.play().then(() => new Promise(done => player.addEventListener('ended', done)))"
    player.evaluate(play_to_end)
    assert player.evaluate("player => player.currentTime") > 0.5
    assert player.evaluate("player => player.error") is None
    assert player.evaluate("player => player.duration") == pytest.approx(0.79, abs=0.1)


def test_a_link_plays_the_part_of_the_file_that_was_annotated(browser, tmp_path):
    tone = write_tone(tmp_path / "audio" / "a #1.wav", seconds=3)
    rows = [{"id": "a", "audio": str(tone), "offset": 1.5, "duration": 1.0}]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out", task=("transcribe",))
    written = write_report(str(tmp_path / "out"), ReportOptions(audio="link"))
    assert (written.path, written.clips) == (str(tmp_path / "out" / "report.html"), 0)
    opened = open_page(browser, Path(written.path))
    assert opened.requests == [Path(written.path).as_uri()], "audio is loaded on demand"
    opened.page.locator(".open").click()
    player = opened.page.locator(".inside audio")
    player.evaluate("player => player.play().then(() => new Promise(done => player.addEventListener('pause', done)))")
    assert player.evaluate("player => player.error") is None
    assert player.evaluate("player => player.currentTime") == pytest.approx(2.5, abs=0.3)
    assert opened.console == []
    opened.page.close()


def test_a_recording_that_has_been_removed_has_a_note(page):
    page.page.get_by_label("Search").fill("r0005")
    page.page.locator(".open").click()
    assert "The audio can no longer be read" in page.page.locator(".inside").inner_text()


def test_the_plots_are_drawn_in_the_colours_of_the_theme(page):
    plots = page.page.locator(".plot svg")
    assert plots.count() >= 8
    colours = []
    for theme in ("light", "dark"):
        page.page.emulate_media(color_scheme=theme)
        for number in range(plots.count()):
            box = plots.nth(number).bounding_box()
            assert box and box["width"] > 200 and box["height"] > 100
        bar = page.page.locator(".plot svg [style*='--bar']").first
        colours.append(bar.evaluate("bar => getComputedStyle(bar).fill"))
        assert page.page.locator(".plot svg text").first.evaluate(
            "text => getComputedStyle(text).fill == getComputedStyle(document.body).color"
        )
    assert colours[0] != colours[1]
    assert page.page.locator(".plot svg").first.get_attribute("aria-label").startswith("Duration: 60 recordings, from")


def test_the_chosen_theme_is_remembered(page):
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.page.evaluate(background)
    page.page.get_by_role("button", name="Dark theme").click()
    dark = page.page.evaluate(background)
    assert light != dark
    page.page.reload()
    assert page.page.evaluate(background) == dark
    page.page.get_by_role("button", name="Light theme").click()
    assert page.page.evaluate(background) == light


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_the_page_fits_the_screen(browser, made_report, width):
    opened = open_page(browser, made_report, viewport={"width": width, "height": 800})
    opened.page.locator(".open").first.click()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    box = opened.page.locator(".inside").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
    opened.page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_axe_reports_no_serious_violation(browser, made_report, theme, size):
    from axe_playwright_python.sync_playwright import Axe

    opened = open_page(
        browser,
        made_report,
        color_scheme=theme,
        viewport={"width": size[0], "height": size[1]},
        bypass_csp=True,  # for axe's own script
    )
    for summary in opened.page.locator("summary").all():
        summary.click()
    for opener in opened.page.locator(".open").all()[:3]:
        opener.click()
    violations = Axe().run(opened.page).response["violations"]
    serious = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in serious] == []
    opened.page.close()


def test_hostile_texts_stay_texts(browser, tmp_path):
    write_hostile_output(tmp_path / "out", str(write_tone(tmp_path / "tone.wav")))
    write_report(str(tmp_path / "out"), ReportOptions(to=str(tmp_path / "report.html")))
    opened = open_page(browser, tmp_path / "report.html")
    opened.page.on("dialog", lambda dialog: opened.console.append(f"dialog {dialog.message}"))
    for opener in opened.page.locator(".open").all():
        opener.click()
    body_text = opened.page.evaluate("document.body.textContent")
    for text in HOSTILE:
        has_text = opened.page.evaluate(
            "text => [...document.querySelectorAll('.answer-text')].some(e => e.textContent === text)", text
        )
        assert has_text, text
    assert "failed </script><script>alert(2)</script>" in body_text
    assert opened.page.evaluate("[...document.querySelectorAll('script')].filter(s => !s.type).length") == 1
    assert opened.page.evaluate("document.querySelectorAll('.inside img:not([alt^=Spectrogram])').length") == 0
    assert_silent(opened, tmp_path / "report.html")
    opened.page.close()


def test_text_cannot_become_markup_in_the_page(browser, made_report):
    opened = open_page(browser, made_report)
    attempt = "try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>') } catch { window.refused = 1 }"
    opened.page.evaluate(f"() => {{ {attempt} }}")
    assert opened.page.evaluate("window.refused") == 1
    opened.page.close()
