"""axe-core finds nothing serious on either page, light or dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.flows.viewed import NAME, viewed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def serious(page: Page) -> list[str]:
    """Violations of WCAG 2.2 A and AA and of good practice that axe calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(chromium: Browser, viewer_url: str, scheme: str) -> None:
    with viewed(chromium, viewer_url, scheme) as viewer:
        viewer.cohort()
        assert serious(viewer.page) == []
        viewer.slide(
            NAME, x=140, y=150, zoom=3, mode="split", left="image", right="sr", nuclei="1,0,probability", row=5,
            layer=["0.3,0,viridis,tissue", "0.5,0.25,magma,consistency"],
        )  # fmt: skip
        viewer.page.locator(".found table").wait_for()
        assert serious(viewer.page) == []
        viewer.page.get_by_role("button", name="Help").click()
        assert serious(viewer.page) == []
        viewer.page.keyboard.press("Escape")
        viewer.page.get_by_role("button", name="Switch to").click()
        assert serious(viewer.page) == []
        viewer.assert_quiet()
