"""The panel is for everybody: themes, screen readers, narrow pages, keys alone, and nothing jumps."""
from __future__ import annotations

from typing import Any

import pytest
from support.browser import SIZE
from support.panel import AXE, SECTIONS, PanelPerson

pytestmark = pytest.mark.unconfined

#: Name, and what a screenshot in it is called.
THEMES = {"JupyterLab Light": "light", "JupyterLab Dark": "dark",
          "JupyterLab Dark High Contrast": "high-contrast"}
#: Sums up how far what is in the panel moved without anybody having done something.
SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) {
      const ours = entry.sources.filter(({node}) => node && node.parentElement
                                                    && node.parentElement.closest('#lpmx-panel'));
      if (ours.length > 0 && !entry.hadRecentInput) {
        window.shifts.push(ours.map(({node}) => (node.outerHTML || node.textContent).slice(0, 200)));
      }
    }
  }).observe({type: 'layout-shift'});
}"""


def unfold_all(person: PanelPerson) -> None:
    for section in SECTIONS:
        person.section(section)
    person.page.get_by_role("list", name="What this host allows").wait_for()
    person.page.get_by_role("table", name="Variables").wait_for()


def violations(page: Any) -> list[str]:
    """What axe-core finds in the panel."""
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("() => axe.run('#lpmx-panel')")["violations"]
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found for node in one["nodes"]]


def test_keys_alone(shown: PanelPerson) -> None:
    """By Tab one gets to everything, in the order in which it is seen; Enter does it, menus open and
    close, and the panel itself is a shortcut away."""
    page = shown.page
    page.keyboard.press("Control+Alt+X")
    page.locator("#lpmx-panel:focus").wait_for()
    reached: list[str] = []
    while not reached or reached[-1] != "Check":
        page.keyboard.press("Tab")
        reached.append(page.evaluate(
            "() => { const at = document.activeElement; return at.closest('#lpmx-panel')"
            " ? at.ariaLabel || at.innerText.trim() || at.type : 'elsewhere'; }"))
        assert "elsewhere" != reached[-1], reached

    there = page.evaluate(
        "() => [...document.querySelectorAll('#lpmx-panel :is(button, input, select):not([disabled]):not([hidden])')]"
        ".map(at => at.ariaLabel || at.innerText.trim() || at.type)")
    assert there == reached

    page.keyboard.press("Enter")
    page.locator('[data-section="check"] h2 button[aria-expanded=true]').wait_for()
    page.keyboard.press("Space")
    page.locator('[data-section="check"] h2 button[aria-expanded=false]').wait_for()
    more = page.locator(".lpmx-Container").get_by_label("More for container")
    more.focus()
    page.keyboard.press("Enter")
    menu = page.locator(".lm-Menu", has_text="Reset Container")
    menu.wait_for()
    page.keyboard.press("Escape")
    menu.wait_for(state="detached")


def test_narrow_page(shown: PanelPerson) -> None:
    """At 400 pixels nothing is cut off, or below something."""
    unfold_all(shown)

    shown.page.set_viewport_size({**SIZE, "width": 400})
    try:
        assert shown.page.evaluate("() => { const panel = document.getElementById('lpmx-panel');"
                                   " return panel.scrollWidth <= panel.clientWidth; }")
        shown.page.get_by_label("Take away PATH").click(trial=True)
        shown.shot("panel-400")
    finally:
        shown.page.set_viewport_size(SIZE)


def test_nothing_jumps(shown: PanelPerson) -> None:
    """While figures are looked at again and again, all stays where it is."""
    page = shown.page
    unfold_all(shown)
    page.wait_for_load_state("networkidle")
    page.evaluate(SHIFTS)

    for _ in range(3):
        with page.expect_response(lambda answer: answer.url.endswith("/lpmx/api/containers")):
            pass
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    assert [] == page.evaluate("() => window.shifts")
    page.evaluate("() => document.querySelector('#lpmx-panel .lpmx-Section')"
                  ".insertAdjacentHTML('beforebegin', '<p>This pushes all down.</p>')")
    page.wait_for_function("() => window.shifts.length > 0")  # it would have been noticed


def test_axe_finds_nothing_in_any_theme(shown: PanelPerson) -> None:
    """In all sections: light, dark, and dark with high contrast."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (make set-up)")
    page, lab = shown.page, shown.server
    found = {}
    for theme, name in THEMES.items():
        lab.request("PUT", "../lab/api/settings/@jupyterlab/apputils-extension:themes",
                    json={"raw": f'{{"theme": "{theme}"}}'})
        shown.load_again()
        page.wait_for_selector(f'body[data-jp-theme-name="{theme}"]', state="attached")
        shown.open_panel()
        unfold_all(shown)

        found[theme] = violations(page)
        shown.shot(f"panel-{name}")

    assert dict.fromkeys(THEMES, []) == found
