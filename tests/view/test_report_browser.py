"""The page in a browser: it asks for nothing, filters, changes its colours, fits a phone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import cytonym

pytest.importorskip("jinja2", reason="the report needs jinja2")
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as play:
        own = play.chromium.executable_path
        path = own if Path(own).exists() else shutil.which("chromium") or shutil.which("chrome")
        if path is None:
            pytest.skip("there is no chromium: apt install chromium, or playwright install")
        window = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield window
        window.close()


@pytest.fixture
def opened(browser, annotated, tmp_path):
    """Opens the page of the 60 cells; what went wrong, and what was asked for, is in ``seen``."""
    contexts = []

    def open_page(width=1280, scheme="light"):
        annotated.obs["cell_type_pred_set"] = ["B|T"] * 60
        file = cytonym.report(annotated, tmp_path / "page.html", truth="truth")
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        seen = {"errors": [], "requests": []}
        page.on("console", lambda message: seen["errors"].append(message.text))
        page.on("pageerror", lambda error: seen["errors"].append(str(error)))
        page.on("dialog", lambda dialog: seen["errors"].append(dialog.message))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready=true]")
        return page, seen

    yield open_page
    for context in contexts:
        context.close()


def shown(page) -> str:
    return page.text_content("#shown")


def test_nothing_goes_wrong_and_nothing_but_the_file_is_asked_for(opened, tmp_path):
    page, seen = opened()
    for name in ("confidence", "unknown", "batch:donor", "truth", "right", "type"):
        page.select_option("#colour", name)
        page.wait_for_timeout(50)
    page.click("#copy")
    page.wait_for_timeout(50)
    assert seen["errors"] == []
    asked = [url for url in seen["requests"] if not url.startswith("data:")]
    assert asked == [(tmp_path / "page.html").as_uri()]


def test_filters_by_type_batch_confidence_and_unknown_change_how_many_cells_are_shown(opened):
    page, _ = opened()
    assert shown(page) == "60 of 60 cells shown"
    page.uncheck("#types input >> nth=0")
    assert shown(page) == "30 of 60 cells shown"
    page.click("#none")
    assert shown(page) == "0 of 60 cells shown"
    page.click("#again")
    page.select_option("select.batch", "1")
    assert shown(page) == "30 of 60 cells shown"
    page.click("#again")
    page.select_option("#unknown", "unnamed")
    assert shown(page) == "4 of 60 cells shown"
    page.select_option("#unknown", "named")
    assert shown(page) == "56 of 60 cells shown"
    page.click("#again")
    page.evaluate("from = document.getElementById('from'); from.value = 70")
    page.dispatch_event("#from", "input")
    assert shown(page) == "36 of 60 cells shown"  # 30 at .95, 6 at .85


def test_reset_brings_back_colours_filters_and_the_whole_map(opened):
    page, _ = opened()
    before = page.evaluate("document.getElementById('canvas').toDataURL()")
    page.select_option("#colour", "confidence")
    page.click("#none")
    page.click("#closer")
    page.click("#again")
    page.wait_for_timeout(100)
    assert shown(page) == "60 of 60 cells shown"
    assert page.input_value("#colour") == "type"
    assert page.evaluate("document.getElementById('canvas').toDataURL()") == before


def ink(page) -> int:
    """Pixels of the canvas that differ from its corner."""
    return page.evaluate(
        """() => {
          const canvas = document.getElementById('canvas');
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          let differ = 0;
          for (let at = 0; at < data.length; at += 4)
            differ += Math.abs(data[at] - data[0]) + Math.abs(data[at + 1] - data[1])
              + Math.abs(data[at + 2] - data[2]) > 90;
          return differ;
        }"""
    )


def test_cells_are_drawn_and_those_that_are_filtered_out_fade(opened):
    page, _ = opened()
    full = ink(page)
    assert full > 60 * 20
    page.click("#none")
    page.wait_for_timeout(100)
    assert ink(page) < full / 20


def test_pointing_at_a_cell_tells_its_name_type_and_confidence_as_text(opened):
    page, _ = opened()
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    found = ""
    for x in range(20, int(box["width"]), 12):
        for y in range(20, int(box["height"]), 12):
            if not found:
                page.mouse.move(box["x"] + x, box["y"] + y)
                if page.is_visible("#tip"):
                    found = page.inner_text("#tip")
    assert found.startswith("cell")
    assert "&" in found
    assert "confidence 0." in found
    assert "donor: D" in found


def test_the_switch_changes_the_colours_and_the_page_follows_the_system(opened):
    page, _ = opened(scheme="dark")

    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = ground()
    assert page.inner_text("#theme") == "Light colours"
    page.click("#theme")
    assert page.inner_text("#theme") == "Dark colours"
    light = ground()
    assert light != dark
    page.click("#theme")
    assert ground() == dark
    page, _ = opened(scheme="light")
    assert ground() == light


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_does_not_scroll_sideways(opened, width):
    page, _ = opened(width)
    for one in page.query_selector_all("details"):
        one.evaluate("one => one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_every_control_and_moves_the_map(opened):
    page, _ = opened()
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.value"))
        visible = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert visible != "none" or page.evaluate("document.activeElement === document.body")
    wanted = {"theme", "canvas", "closer", "whole", "colour", "batch0", "from", "to", "unknown"}
    assert wanted | {"all", "none", "0", "again", "copy"} <= set(reached)
    page.focus("#canvas")
    before = page.evaluate("document.getElementById('canvas').toDataURL()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.wait_for_timeout(100)
    assert page.evaluate("document.getElementById('canvas').toDataURL()") != before
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    assert page.evaluate("document.getElementById('canvas').toDataURL()") == before
