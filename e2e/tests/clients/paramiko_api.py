"""Everything that paramiko has for SFTP and commands, at a server.

paramiko_api.py HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.
"""

import hashlib
import io
import os
import stat
import sys

import paramiko

host, port, user, key, known_hosts, top = sys.argv[1:]
OURS = top == "/"
CONTENT = hashlib.shake_256(b"content").digest(1_000_003)


def path(name):
    return os.path.join(top, name)


def refused(error, call, *arguments):
    try:
        call(*arguments)
    except error as refusal:
        return str(refusal)
    raise AssertionError(f"{call} {arguments} is not refused")


def text(sftp, name):
    with sftp.open(path(name), "rb") as file:
        return file.read()


def modes(sftp):
    with sftp.open(path("f"), "w") as file:
        file.write("one\ntwo\n")
    with sftp.open(path("f"), "a") as file:
        file.write("three\n")
    assert text(sftp, "f") == b"one\ntwo\nthree\n"
    with sftp.open(path("f"), "r+") as file:
        assert file.readline() == "one\n"
        file.seek(4)
        file.write("TWO")
        file.seek(0)
        assert file.readlines() == ["one\n", "TWO\n", "three\n"]
    with sftp.open(path("f"), "w+") as file:
        file.write("anew")
        file.seek(0)
        assert file.read() == b"anew"
    with sftp.open(path("f"), "a+") as file:
        file.write("!")
        file.seek(0)
        assert file.read() == b"anew!"
    with sftp.open(path("x"), "wx") as file:
        file.write("exclusive")
    refused(OSError, sftp.open, path("x"), "wx")
    refused(FileNotFoundError, sftp.open, path("none"), "r")
    refused(FileNotFoundError, sftp.open, path("none"), "r+")
    refused(FileNotFoundError, sftp.open, path("none/f"), "w")
    sftp.remove(path("x"))


def reading_and_writing(sftp):
    with sftp.open(path("data"), "wb") as file:
        file.set_pipelined(True)
        for start in range(0, len(CONTENT), 40_000):
            file.write(CONTENT[start : start + 40_000])
    assert text(sftp, "data") == CONTENT
    with sftp.open(path("data"), "rb") as file:
        assert file.seekable()
        file.seek(-3, os.SEEK_END)
        assert (file.read(), file.tell()) == (CONTENT[-3:], len(CONTENT))
        file.seek(12_345)
        assert file.read(70_000) == CONTENT[12_345:82_345]
        file.seek(10, os.SEEK_CUR)
        assert file.read(1) == CONTENT[82_355:82_356]
        chunks = [(0, 5), (999_999, 4), (500_000, 40_000), (3, 0)]
        assert list(file.readv(chunks)) == [CONTENT[at : at + size] for at, size in chunks]
    with sftp.open(path("data"), "rb") as file:
        file.prefetch(len(CONTENT), max_concurrent_requests=64)
        assert file.read() == CONTENT
    with sftp.open(path("data"), "r+b") as file:
        file.seek(2_000_000)
        file.write(b"after a hole")
        file.truncate(2_000_005)
        assert file.stat().st_size == 2_000_005
        file.chmod(0o640)
        file.utime((1_000_000_000, 1_100_000_000))
        told = file.stat()
        assert (stat.S_IMODE(told.st_mode), told.st_atime, told.st_mtime) == (0o640, 1_000_000_000, 1_100_000_000)
        file.chown(told.st_uid, told.st_gid)
    assert text(sftp, "data") == CONTENT + bytes(2_000_000 - len(CONTENT)) + b"after"
    moved = []
    sftp.putfo(io.BytesIO(CONTENT), path("put"), len(CONTENT), lambda done, _: moved.append(done), confirm=True)
    back = io.BytesIO()
    assert sftp.getfo(path("put"), back, prefetch=True) == len(CONTENT)
    assert back.getvalue() == CONTENT and moved[-1] == len(CONTENT)
    with open("here", "wb") as file:
        file.write(CONTENT)
    sftp.put("here", path("put"))
    sftp.get(path("put"), "back", prefetch=False)
    with open("back", "rb") as file:
        assert file.read() == CONTENT


def digests(sftp):
    with sftp.open(path("put"), "rb") as file:
        if not OURS:
            refused(OSError, file.check, "md5")
            return
        for name in ["md5", "sha1", "sha256"]:
            assert file.check(name) == hashlib.new(name, CONTENT).digest(), name
        blocks = file.check("sha256", 1000, 600_000, 250_000)
        edges = [1000, 251_000, 501_000, 601_000]
        wanted = [hashlib.sha256(CONTENT[a:b]).digest() for a, b in zip(edges, edges[1:])]
        assert blocks == b"".join(wanted)


def attributes(sftp):
    sftp.truncate(path("put"), 1234)
    sftp.chmod(path("put"), 0o600)
    sftp.utime(path("put"), (1, 4_000_000_000))
    told = sftp.stat(path("put"))
    assert (stat.S_IMODE(told.st_mode), told.st_mtime, told.st_size) == (0o600, 4_000_000_000, 1234)
    sftp.chown(path("put"), told.st_uid, told.st_gid)
    if OURS:
        refused(PermissionError, sftp.chown, path("put"), 4711, 4711)
    sftp.symlink("put", path("soft"))
    sftp.symlink("nowhere", path("dangling"))
    assert sftp.readlink(path("soft")) == "put"
    assert stat.S_ISLNK(sftp.lstat(path("soft")).st_mode) and sftp.stat(path("soft")).st_size == 1234
    refused(FileNotFoundError, sftp.stat, path("dangling"))
    assert sftp.lstat(path("dangling")).st_size == len("nowhere")


def names(sftp):
    sftp.mkdir(path("d"), 0o750)
    assert stat.S_IMODE(sftp.stat(path("d")).st_mode) == 0o750
    refused(OSError, sftp.mkdir, path("d"))
    sftp.chdir(path("d"))
    assert sftp.getcwd() == path("d") and sftp.normalize("../put") == path("put")
    for number in range(300):
        sftp.open(f"file-{number}", "w").close()
    wanted = sorted(f"file-{number}" for number in range(300))
    assert sorted(sftp.listdir(".")) == wanted
    listed = sftp.listdir_attr(".")
    assert sorted(entry.filename for entry in listed) == wanted
    assert all(stat.S_ISREG(entry.st_mode) and entry.longname.startswith("-rw") for entry in listed)
    assert sorted(entry.filename for entry in sftp.listdir_iter(".", read_aheads=5)) == wanted
    sftp.rename("file-0", "renamed")
    refused(OSError, sftp.rename, "renamed", "file-1")
    sftp.posix_rename("renamed", "file-1")
    refused(FileNotFoundError, sftp.remove, "file-0")
    refused(OSError, sftp.rmdir, path("d"))
    sftp.chdir(None)
    for name in sftp.listdir(path("d")):
        sftp.remove(path(f"d/{name}"))
    # Names are bytes. paramiko sends any, and can list none that is not UTF-8.
    odd = os.fsencode(path("d/")) + b"\xff\xfe not text"
    with sftp.open(odd, "wb") as file:
        file.write(b"odd")
    assert sftp.stat(odd).st_size == 3
    sftp.rename(odd, odd + b"!")
    refused(UnicodeDecodeError, sftp.listdir, path("d"))
    sftp.remove(odd + b"!")
    sftp.rmdir(path("d"))
    refused(FileNotFoundError, sftp.listdir, path("d"))


def commands(client):
    name = path("put")
    digest = hashlib.sha256(CONTENT[:1234]).hexdigest()
    _, output, errors = client.exec_command(f"sha256sum {name}")
    assert output.read().decode() == f"{digest}  {name}\n" and errors.read() == b""
    assert output.channel.recv_exit_status() == 0
    _, output, errors = client.exec_command("no-such-command")
    assert output.channel.recv_exit_status() == 127 and b"no-such-command" in errors.read()
    given, output, _ = client.exec_command(f"put {path('stream')}" if OURS else f"cat >{path('stream')}")
    given.write(CONTENT)
    given.channel.shutdown_write()
    assert output.channel.recv_exit_status() == 0
    _, output, _ = client.exec_command(f"cat {path('stream')}")
    assert output.read() == CONTENT


with paramiko.SSHClient() as client:
    client.load_host_keys(known_hosts)
    client.connect(host, int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
    with client.open_sftp() as sftp:
        modes(sftp)
        reading_and_writing(sftp)
        digests(sftp)
        attributes(sftp)
        names(sftp)
    commands(client)
