"""What a browser's tab does, without the browser: Streamlit's protocol over its websocket, page by page and widget by widget."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
ANSWER = 5.0  # seconds that a person watches a file stand still for


class Tab:
    """One visitor's tab: ``elements`` by place, the states of its widgets, and the fragments that run by themselves."""

    def __init__(self, port: int, on_bytes: Callable[[Any], object] = id) -> None:
        self.port, self.on_bytes = port, on_bytes
        self.elements: dict[tuple[int, ...], Any] = {}
        self.exceptions: list[str] = []
        self.runs = self.unanswered = 0
        self.closed = False
        self.failure = ""
        self._states: dict[str, WidgetState] = {}
        self._query = self._page = self._session = ""
        self._pages: dict[str, str] = {}
        self._beats: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, ForwardMsg] = {}
        self._urls: dict[str, Any] = {}
        self._running = self._fragment = False
        self._change = asyncio.Condition()

    async def open(self, path: str = "", query: str = "") -> Tab:
        """Open a page; ``until`` says when what it shows is there."""
        self._xsrf = await asyncio.to_thread(self._token)
        self._query, self._path = query, path
        address: Any = f"http://{HOST}:{self.port}"
        self._socket = await websockets.connect(
            f"ws://{HOST}:{self.port}/_stcore/stream", subprotocols=["streamlit"], origin=address,  # type: ignore[list-item]
            additional_headers={"Cookie": f"_streamlit_xsrf={self._xsrf}"}, max_size=None, open_timeout=120, compression=None,
            ping_interval=None,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        await self._rerun(name=path)
        return self

    async def close(self) -> None:
        """Close the tab."""
        self.closed = True
        self._stop_beats()
        with suppress(Exception):
            await asyncio.wait_for(self._socket.close(), 5)

    async def until(self, condition: Callable[[], bool], timeout: float = 120) -> None:
        """Wait for a condition; TimeoutError when it does not come, ConnectionError when the server closes."""
        async with asyncio.timeout(timeout), self._change:
            while not condition():
                if self.closed:
                    raise ConnectionError(self.failure or "the server closed the connection")
                await self._change.wait()

    async def settle(self, timeout: float = 120) -> None:
        """Wait until nothing on the page waits for work any more."""
        async with asyncio.timeout(timeout):
            while True:
                await self.until(lambda: not self._beats and not self._running, timeout)
                await asyncio.sleep(0.3)
                if not self._beats and not self._running:
                    return

    async def act(self, timeout: float = 120, **what: Any) -> float:
        """One run of the script, and the seconds it took."""
        runs, began = self.runs, time.monotonic()
        await self._rerun(**what)
        await self.until(lambda: self.runs > runs, timeout)
        return time.monotonic() - began

    async def go(self, page: str) -> float:
        """Go to another page."""
        self._query, self._states = "", {}
        return await self.act(hash_=self._pages[page])

    async def choose(self, widget: Any, value: str) -> float:
        """Choose in a select box."""
        self._states[widget.id] = WidgetState(id=widget.id, string_value=value)
        return await self.act()

    async def tell(self, component: Any, value: dict[str, Any]) -> float:
        """What the browser's side of a component says."""
        self._states[component.id] = WidgetState(id=component.id, json_value=json.dumps(value))
        return await self.act()

    async def click(self, button: Any) -> float:
        """Press a button."""
        return await self.act(extra=(WidgetState(id=button.id, trigger_value=True),))

    async def upload(self, widget: Any, name: str, content: bytes) -> float:
        """Hand in a file; the seconds until the page was drawn with it.

        A file that stands still a person drops again, as this does: ``unanswered`` counts how often.
        """
        began = time.monotonic()
        while (urls := await self._place_for(name)) is None:
            self.unanswered += 1
        status = await asyncio.to_thread(self._put, urls.upload_url, name, content)
        if status >= 300:
            raise ConnectionError(f"the upload was answered with {status}")
        state = WidgetState(id=widget.id)
        info = state.file_uploader_state_value.uploaded_file_info.add(name=name, size=len(content), file_id=urls.file_id)
        info.file_urls.CopyFrom(urls)
        self._states[widget.id] = state
        await self.act()
        return time.monotonic() - began

    async def _place_for(self, name: str) -> Any:
        request = BackMsg()
        request.file_urls_request.request_id = uuid.uuid4().hex
        request.file_urls_request.file_names.append(name)
        request.file_urls_request.session_id = self._session
        await self._socket.send(request.SerializeToString())
        with suppress(TimeoutError):
            await self.until(lambda: request.file_urls_request.request_id in self._urls, ANSWER)
            return self._urls.pop(request.file_urls_request.request_id).file_urls[0]

    def all(self, kind: str) -> list[Any]:
        """The elements of a kind."""
        return [getattr(element, kind) for element in self.elements.values() if element.WhichOneof("type") == kind]

    def find(self, kind: str, *, label: str | None = None, ending: str = "") -> Any:
        """The first element of a kind, with this label or with an identity of this ending; None where there is none."""
        wanted = (w for w in self.all(kind) if (label is None or w.label == label) and (not ending or w.id.endswith(ending)))
        return next(wanted, None)

    @property
    def text(self) -> str:
        """The words on the page."""
        return "\n".join(w.body for kind in ("markdown", "alert", "heading") for w in self.all(kind))

    @property
    def state(self) -> str:
        """What the tab is at: for reports of what did not come."""
        return f"running: {self._running}, looks: {len(self._beats)}, the page's last words: {self.text[-300:]!r}"

    def _token(self) -> str:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=120)
        connection.request("GET", "/_stcore/health")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        match = re.search(r"_streamlit_xsrf=([^;]+)", answer.headers.get("Set-Cookie", ""))
        return match[1] if match else ""

    def _put(self, url: str, name: str, content: bytes) -> int:
        border = uuid.uuid4().hex
        head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'
        body = head.encode() + content + f"\r\n--{border}--\r\n".encode()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=120)
        kind = {"Content-Type": f"multipart/form-data; boundary={border}"}
        connection.request("PUT", url, body, {**kind, "Cookie": f"_streamlit_xsrf={self._xsrf}", "X-Xsrftoken": self._xsrf})
        status = connection.getresponse().status
        connection.close()
        return status

    async def _rerun(self, *, name: str | None = None, hash_: str = "", fragment: str = "", extra: tuple[WidgetState, ...] = ()) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self._query
        state.widget_states.widgets.extend([*self._states.values(), *extra])
        if name is not None:
            state.page_name = name
        else:
            state.page_script_hash = hash_ or self._page
        state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
        state.context_info.timezone, state.context_info.locale = "UTC", "en-US"
        state.context_info.url = f"http://{HOST}:{self.port}/{self._path}"
        await self._socket.send(message.SerializeToString())

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                message = ForwardMsg()
                message.ParseFromString(data)
                self._take(message)
                async with self._change:
                    self._change.notify_all()
        except Exception as error:  # noqa: BLE001  told to whoever waits
            self.failure = repr(error)
        finally:
            self.closed = True
            self._stop_beats()
            async with self._change:
                self._change.notify_all()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            metadata, message = message.metadata, self._known[message.ref_hash]
            message = ForwardMsg.FromString(message.SerializeToString())
            message.metadata.CopyFrom(metadata)
            kind = message.WhichOneof("type")
        elif message.metadata.cacheable and message.hash:
            self._known[message.hash] = message
        taken = getattr(self, f"_take_{kind}", None)
        if taken is not None:
            taken(message)

    def _take_new_session(self, message: ForwardMsg) -> None:
        self._session, self._page = message.new_session.initialize.session_id, message.new_session.page_script_hash
        self._running, self._fragment = True, bool(message.metadata.run.fragment_ids)
        if not self._fragment:
            self.elements = {}
            self._stop_beats()

    def _take_navigation(self, message: ForwardMsg) -> None:
        self._pages = {page.url_pathname or page.page_name: page.page_script_hash for page in message.navigation.app_pages}
        self._page = message.navigation.page_script_hash or self._page

    def _take_delta(self, message: ForwardMsg) -> None:
        path, delta = tuple(message.metadata.delta_path), message.delta
        if delta.WhichOneof("type") == "add_block":
            for place in [place for place in self.elements if place[: len(path)] == path and len(place) > len(path)]:
                del self.elements[place]
        elif delta.WhichOneof("type") == "new_element":
            element = self.elements[path] = delta.new_element
            kind = element.WhichOneof("type")
            if kind == "exception":
                self.exceptions.append(f"{element.exception.type}: {element.exception.message}")
            elif kind == "bidi_component" and element.bidi_component.bytes:
                self.on_bytes(element.bidi_component)
            elif kind in ("selectbox", "multiselect") and getattr(element, kind).set_value:
                self._set(kind, getattr(element, kind))

    def _set(self, kind: str, widget: Any) -> None:
        state = WidgetState(id=widget.id)
        if kind == "selectbox":
            state.string_value = widget.raw_value
        else:
            state.string_array_value.data.extend(widget.raw_values)
            state.string_array_value.SetInParent()
        self._states[widget.id] = state

    def _take_script_finished(self, message: ForwardMsg) -> None:
        self._running = False
        if message.script_finished in (0, 2):
            self.runs += 1
        if message.script_finished == 0 and not self._fragment:
            ids = {getattr(getattr(element, element.WhichOneof("type")), "id", "") for element in self.elements.values()}
            self._states = {name: state for name, state in self._states.items() if name in ids}

    def _take_page_info_changed(self, message: ForwardMsg) -> None:
        self._query = message.page_info_changed.query_string

    def _take_auto_rerun(self, message: ForwardMsg) -> None:
        fragment = message.auto_rerun.fragment_id
        if fragment in self._beats:
            self._beats[fragment].cancel()
        self._beats[fragment] = asyncio.create_task(self._beat(fragment, message.auto_rerun.interval))

    def _take_stop_auto_rerun(self, message: ForwardMsg) -> None:
        for fragment in message.stop_auto_rerun.fragment_ids:
            if fragment in self._beats:
                self._beats.pop(fragment).cancel()

    def _take_file_urls_response(self, message: ForwardMsg) -> None:
        self._urls[message.file_urls_response.response_id] = message.file_urls_response

    async def _beat(self, fragment: str, interval: float) -> None:
        with suppress(websockets.ConnectionClosed):
            while not self.closed:
                await asyncio.sleep(interval)
                await self._rerun(fragment=fragment)

    def _stop_beats(self) -> None:
        for beat in self._beats.values():
            beat.cancel()
        self._beats = {}
