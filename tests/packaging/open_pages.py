"""Open every page of the app where the wheel put it, and say of each its title and how long it took; run by test_wheel.py."""

from __future__ import annotations

import json
import sys
import time

from streamlit.testing.v1 import AppTest

from vizlib.files.product import product_root

SLOTS = "job_slots.slots"


def open_page(name: str) -> dict[str, object]:
    """Run one page until all that it asked for is there; its title, headings and whatever went wrong."""
    started = time.perf_counter()
    at = AppTest.from_file(str(product_root() / "app.py"), default_timeout=300)
    at.switch_page(f"pages/{name}.py")
    at.run()
    for _, job in at.session_state[SLOTS].values() if SLOTS in at.session_state else ():
        job.wait(300)
    at.run()
    wrong = [element.message for element in at.exception] + [element.value for element in at.error]
    return {
        "page": name,
        "home": str(product_root()),
        "title": at.title[0].value,
        "headings": len(at.header) + len(at.subheader),
        "wrong": wrong,
        "seconds": round(time.perf_counter() - started, 1),
    }


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(path.stem for path in (product_root() / "pages").glob("*.py"))
    for page_name in names:
        print(json.dumps(open_page(page_name)), flush=True)
