"""The table of instance types in a real browser: it can be read and searched, on a narrow window too."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.browser.conftest import Window
from tests.cast import Cast

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1440, 390])
def test_types_can_be_read_and_searched(window: Window, cast: Cast, width: int) -> None:
    window.sign_in("operator")
    page = window.page
    page.set_viewport_size({"width": width, "height": 844})
    window.open(reverse("admin:clusters_instance_types"))
    assert page.locator("tbody tr").count() > 100
    page.fill("input[name=q]", "g6e 12x")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=g6e*")
    assert page.locator("tbody tr").all_inner_texts()[0].startswith("ml.g6e.12xlarge")
    assert page.locator("tbody tr").count() == 1
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "the table scrolls, not the page"
