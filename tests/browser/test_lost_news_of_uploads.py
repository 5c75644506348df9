"""A file whose news was lost on its way: the tab speaks Streamlit's protocol itself, since a browser cannot be made to lose it."""

from __future__ import annotations

import asyncio
import io
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from PIL import Image
from streamlit.proto.BackMsg_pb2 import BackMsg

from benchmarks.visitors.tab import Tab
from vizlib.ui.core.message_codec import unpack


class LosesNews(Tab):
    """A tab whose first request after an upload comes without the uploader's value, as if another request had wiped it."""

    lost = False

    async def _rerun(self, *args, **what):
        kept = self._states
        if not self.lost and any(state.HasField("file_uploader_state_value") for state in kept.values()):
            self.lost = True
            self._states = {name: state for name, state in kept.items() if not state.HasField("file_uploader_state_value")}
        await super()._rerun(*args, **what)
        self._states = kept


def test_a_file_that_no_run_was_told_of_is_asked_for_again(server):
    buffer, titles = io.BytesIO(), []
    Image.new("RGB", (80, 60), "orange").save(buffer, "JPEG")

    def see(component):
        if component.component_name == "vizlib_photo_map":
            titles.append(unpack(component.bytes)[0]["title"])

    async def visit():
        tab = await LosesNews(urlsplit(server.url).port, see).open()
        try:
            await tab.until(lambda: tab.find("file_uploader") is not None)
            await tab.settle()
            await tab.upload(tab.find("file_uploader"), "orange.jpg", buffer.getvalue())
            assert tab.lost
            await tab.until(lambda: "orange.jpg" in titles, 60)
            await tab.settle()
            assert not tab.exceptions
            assert not tab._beats
        finally:
            await tab.close()

    with ThreadPoolExecutor(1) as pool:  # Playwright has a loop running in this thread
        pool.submit(asyncio.run, visit()).result()


def test_a_place_for_a_file_is_told_although_a_run_begins(server):
    async def visit():
        tab = await Tab(urlsplit(server.url).port).open("learn")
        try:
            await tab.until(lambda: tab.runs > 0)
            for _ in range(8):  # Streamlit alone loses about every second one
                asked = BackMsg()
                request = asked.file_urls_request
                request.request_id, request.session_id = uuid.uuid4().hex, tab._session
                request.file_names.append("mine.png")
                await tab._socket.send(asked.SerializeToString())
                await tab.act()
                await tab.until(lambda name=request.request_id: name in tab._urls, 30)
        finally:
            await tab.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, visit()).result()
