"""Load that comes when it is due, whether or not earlier requests have been answered: many connections, one thread."""

import asyncio
import time
import urllib.parse


class Answer:
    """What came back to one request; `status` is 0 if nothing did."""

    def __init__(self, key, status, headers, body, seconds):
        self.key, self.status, self.headers, self.body, self.seconds = key, status, headers, body, seconds

    def __repr__(self):
        return f"{self.key}: {self.status} {self.headers} {self.body[:200]!r} after {self.seconds:.2f} s"


def wire(host, method, target, body, headers):
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Load:
    """Sends `(due, key, bytes)`, `due` in seconds after the start; latency counts from there. What could not be sent within `late` seconds,
    because this machine is too slow for so many, is not sent: the storm is over when it is over."""

    def __init__(self, base, most=600, timeout=60, late=2):
        parts = urllib.parse.urlsplit(base)
        self.host, self.port, self.netloc = parts.hostname, parts.port, parts.netloc
        self.most, self.timeout, self.late = most, timeout, late

    def run(self, requests, during=()):
        """The answers. `during` are `(seconds, function)`, called in threads of their own."""
        return asyncio.run(self._run(sorted(requests), during))

    async def _run(self, requests, during):
        idle, room = [], asyncio.Semaphore(self.most)
        start = time.monotonic() + 0.1
        tasks = [asyncio.create_task(self._later(start + at, function)) for at, function in during]
        for due, key, data in requests:
            left = start + due - time.monotonic()
            # Together what is due within a few milliseconds: the clock of the loop is no finer.
            if left > 0.002:
                await asyncio.sleep(left)
            await room.acquire()
            if time.monotonic() - start - due > self.late:
                room.release()
                continue
            tasks.append(asyncio.create_task(self._one(idle, room, start + due, key, data)))
        answers = [answer for answer in await asyncio.gather(*tasks) if answer]
        for _, writer in idle:
            writer.close()
        return answers

    async def _later(self, at, function):
        await asyncio.sleep(at - time.monotonic())
        await asyncio.get_running_loop().run_in_executor(None, function)

    async def _one(self, idle, room, due, key, data):
        connection = None
        try:
            async with asyncio.timeout(self.timeout) if hasattr(asyncio, "timeout") else _Never():
                connection = idle.pop() if idle else await asyncio.open_connection(self.host, self.port)
                status, headers, body = await self._exchange(*connection, data)
            idle.append(connection)
            return Answer(key, status, headers, body, time.monotonic() - due)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            if connection:
                connection[1].close()
            return Answer(key, 0, {}, repr(error).encode(), time.monotonic() - due)
        finally:
            room.release()

    async def _exchange(self, reader, writer, data):
        writer.write(data)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        status = int(head[0].split()[1])
        if "content-length" in headers:
            return status, headers, await reader.readexactly(int(headers["content-length"]))
        body = b""
        while headers.get("transfer-encoding") == "chunked":
            size = int(await reader.readline(), 16)
            body += (await reader.readexactly(size + 2))[:-2]
            if size == 0:
                break
        return status, headers, body


class _Never:
    """Python older than 3.11 has no such time-out; the file's own ends the test there."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None
