"""Everything that asyncssh has for SFTP, scp and commands, at a server.

asyncssh_api.py HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.
"""

import asyncio
import hashlib
import os
import stat
import sys

import asyncssh

host, port, user, key, known_hosts, top = sys.argv[1:]
OURS = top == "/"
CONTENT = hashlib.shake_256(b"content").digest(1_000_003)


def path(name):
    return os.path.join(top, name)


async def refused(error, awaitable):
    try:
        await awaitable
    except error as refusal:
        return str(refusal)
    raise AssertionError(f"{awaitable} is not refused")


async def content(sftp, name):
    async with sftp.open(path(name), "rb") as file:
        return await file.read()


async def modes(sftp):
    async with sftp.open(path("f"), "w") as file:
        await file.write("one\n")
    async with sftp.open(path("f"), "a") as file:
        await file.write("two\n")
    async with sftp.open(path("f"), "a+") as file:
        await file.write("three\n")
        await file.seek(0)
        assert await file.read() == "one\ntwo\nthree\n"
    async with sftp.open(path("f"), "r+") as file:
        await file.write("ONE", 0)
        assert await file.read(3, 0) == "ONE"
        assert await file.tell() == 3
        await file.seek(-6, os.SEEK_END)
        assert await file.read() == "three\n"
    async with sftp.open(path("f"), "w+") as file:
        await file.write("anew")
    async with sftp.open(path("x"), "x"):
        pass
    await refused(asyncssh.SFTPError, sftp.open(path("x"), "x"))
    await refused(asyncssh.SFTPNoSuchFile, sftp.open(path("none")))
    await refused(asyncssh.SFTPNoSuchFile, sftp.open(path("none/f"), "w"))
    await sftp.unlink(path("x"))
    assert await content(sftp, "f") == b"anew"


async def reading_and_writing(sftp):
    async with sftp.open(path("data"), "w+b", block_size=20_000, max_requests=100) as file:
        await file.write(CONTENT)
        await file.fsync()
        assert await file.read(len(CONTENT), 0) == CONTENT
        parts = [(at, data) async for at, data in await file.read_parallel(len(CONTENT), 0)]
        assert b"".join(data for _, data in sorted(parts)) == CONTENT
        await file.write(b"after a hole", 2_000_000)
        await file.truncate(2_000_005)
        await file.chmod(0o640)
        await file.utime((1_000_000_000, 1_100_000_000))
        told = await file.stat()
        wanted = (2_000_005, 0o640, 1_000_000_000, 1_100_000_000)
        assert (told.size, stat.S_IMODE(told.permissions), told.atime, told.mtime) == wanted
        await file.chown(told.uid, told.gid)
        space = await file.statvfs()
        if OURS:
            assert space.blocks * space.frsize == 100 << 20
    assert await content(sftp, "data") == CONTENT + bytes(2_000_000 - len(CONTENT)) + b"after"
    if OURS:
        space = await sftp.statvfs(path("."))
        used = (await sftp.getsize(path("data"))) + (await sftp.getsize(path("f")))
        blocks = -(-used // space.frsize)
        assert space.blocks - space.bfree == blocks
    limits = sftp.limits
    assert limits.max_read_len == limits.max_write_len == 255 << 10
    await refused(asyncssh.SFTPNoSuchFile, sftp.statvfs(path("none")))


async def attributes(sftp):
    name = path("data")
    await sftp.truncate(name, 1234)
    await sftp.chmod(name, 0o600)
    await sftp.utime(name, (1, 4_000_000_000))
    await sftp.setstat(name, asyncssh.SFTPAttrs(permissions=0o604))
    told = await sftp.stat(name)
    assert (told.size, stat.S_IMODE(told.permissions), told.atime, told.mtime) == (1234, 0o604, 1, 4_000_000_000)
    assert (await sftp.getsize(name), await sftp.getmtime(name)) == (1234, 4_000_000_000)
    await sftp.chown(name, told.uid, told.gid)
    if OURS:
        await refused(asyncssh.SFTPPermissionDenied, sftp.chown(name, 4711, 4711))
    await sftp.symlink("data", path("soft"))
    assert await sftp.readlink(path("soft")) == "data"
    # With lsetstat: the link, not what it points at.
    await sftp.utime(path("soft"), (5, 6), follow_symlinks=False)
    assert (await sftp.lstat(path("soft"))).mtime == 6 and await sftp.getmtime(name) == 4_000_000_000
    assert await sftp.islink(path("soft")) and await sftp.isfile(path("soft")) and await sftp.lexists(path("soft"))
    await sftp.link(name, path("hard"))
    assert await sftp.getsize(path("hard")) == 1234 and await sftp.exists(path("hard"))
    await refused(asyncssh.SFTPError, sftp.link(name, path("soft")))


async def names(sftp):
    await sftp.makedirs(path("d/e/f"))
    await sftp.makedirs(path("d/e/f"), exist_ok=True)
    await sftp.chdir(path("d"))
    assert await sftp.getcwd() == path("d") and await sftp.realpath("../data") == path("data")
    for number in range(200):
        async with sftp.open(f"file-{number}", "w"):
            pass
    wanted = sorted(f"file-{number}" for number in range(200))
    assert sorted(name for name in await sftp.listdir(".") if name.startswith("file")) == wanted
    entries = [entry async for entry in sftp.scandir(".")]
    assert {entry.filename for entry in entries} == {*wanted, "e", ".", ".."}
    assert all(entry.longname[0] in "-d" for entry in entries)
    assert sorted(await sftp.glob("file-1?")) == [f"file-{number}" for number in range(10, 20)]
    await sftp.rename("file-0", "renamed")
    await refused(asyncssh.SFTPError, sftp.rename("renamed", "file-1"))
    await sftp.posix_rename("renamed", "file-1")
    await refused(asyncssh.SFTPError, sftp.rmdir("."))
    await refused(asyncssh.SFTPNoSuchFile, sftp.remove("file-0"))
    # Names are bytes.
    odd = os.fsencode(path("d/")) + b"\xff\xfe not text"
    async with sftp.open(odd, "wb") as file:
        await file.write(b"odd")
    listed = await sftp.listdir(os.fsencode(path("d")))
    assert os.path.basename(odd) in listed and await sftp.realpath(odd) == odd
    await sftp.rename(odd, odd + b"!")
    await sftp.symlink(b"\xfe", odd)
    assert await sftp.readlink(odd) == b"\xfe"
    await sftp.remove(odd + b"!")
    await sftp.remove(odd)
    await sftp.chdir(path("."))
    await sftp.rmtree(path("d"))
    assert not await sftp.exists(path("d"))


async def transfers(sftp):
    for folder in ["tree/a/b", "tree/empty"]:
        os.makedirs(folder)
    for name in ["tree/a/one", "tree/a/b/two", "tree/three"]:
        with open(name, "wb") as file:
            file.write(CONTENT + name.encode())
    done = []
    follow = {"preserve": True, "recurse": True}
    await sftp.put("tree", path("tree"), **follow, progress_handler=lambda *what: done.append(what))
    await sftp.get(path("tree"), "back", **follow, block_size=100_000, max_requests=64)
    await sftp.mget(path("tree/t*"), "back")
    await sftp.mput("tree/t*", path("tree/empty"))
    assert sftp.supports_remote_copy
    await sftp.copy(path("tree"), path("copy"), recurse=True, remote_only=True)
    await sftp.mcopy(path("copy/t*"), path("copy/a"), remote_only=True)
    for name in ["a/one", "a/b/two", "three"]:
        wanted = CONTENT + f"tree/{name}".encode()
        with open(f"back/{name}", "rb") as file:
            assert file.read() == wanted, name
        assert await content(sftp, f"copy/{name}") == wanted, name
    assert await content(sftp, "tree/empty/three") == await content(sftp, "copy/a/three")
    assert done
    # A range of one file into another.
    async with sftp.open(path("copy/three"), "rb") as source, sftp.open(path("part"), "wb") as target:
        await sftp.remote_copy(source, target, 1000, 70_000, 5)
    assert await content(sftp, "part") == bytes(5) + CONTENT[1000:71_000]


async def commands(connection):
    name = path("tree/three")
    digest = hashlib.md5(CONTENT + b"tree/three").hexdigest()
    result = await connection.run(f"md5sum {name}")
    assert (result.exit_status, result.stdout) == (0, f"{digest}  {name}\n"), result
    result = await connection.run("no-such-command")
    assert result.exit_status == 127 and "no-such-command" in result.stderr
    put = f"put {path('stream')}" if OURS else f"cat >{path('stream')}"
    result = await connection.run(put, input=CONTENT, encoding=None)
    assert result.exit_status == 0, result
    result = await connection.run(f"cat {path('stream')}", encoding=None)
    assert result.stdout == CONTENT
    if OURS:
        # It sends a byte before it reads the error; a channel that is closed by then hides the error.
        for pattern in ["a*", "a;"] * 15:
            try:
                await asyncssh.scp((connection, pattern), "nothing")
                raise AssertionError(f"{pattern} is accepted")
            except asyncssh.SFTPError as error:
                assert "quote the" in str(error), error
    await asyncssh.scp("tree", (connection, path("scp")), recurse=True, preserve=True)
    await asyncssh.scp((connection, path("scp")), "scp-back", recurse=True, preserve=True)
    with open("scp-back/a/b/two", "rb") as file:
        assert file.read() == CONTENT + b"tree/a/b/two"


async def main():
    options = {"username": user, "client_keys": [key], "known_hosts": known_hosts, "agent_path": None, "config": None}
    async with asyncssh.connect(host, int(port), **options) as connection:
        async with connection.start_sftp_client() as sftp:
            assert sftp.version == 3
            await modes(sftp)
            await reading_and_writing(sftp)
            await attributes(sftp)
            await names(sftp)
            await transfers(sftp)
        await commands(connection)


asyncio.run(main())
