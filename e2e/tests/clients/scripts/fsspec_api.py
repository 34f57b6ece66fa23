"""What fsspec's SFTP filesystem (over paramiko) does, at a server.

fsspec_api.py HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.
"""

import os
import sys

import fsspec

host, port, user, key, known_hosts, top = sys.argv[1:]
CONTENT = bytes(range(256)) * 4000


def path(name):
    return os.path.join(top, name)


login = {"port": int(port), "username": user, "key_filename": key, "look_for_keys": False, "allow_agent": False}
files = fsspec.filesystem("sftp", host=host, temppath=path(""), **login)
files.pipe_file(path("data"), CONTENT)
assert files.cat_file(path("data")) == CONTENT
assert files.cat_file(path("data"), start=1000, end=70_000) == CONTENT[1000:70_000]
with files.open(path("text"), "wt") as file:
    file.write("one\ntwo\n")
with files.open(path("text"), "rt") as file:
    assert file.readlines() == ["one\n", "two\n"]
with files.open(path("text"), "ab") as file:
    file.write(b"three\n")
assert files.info(path("text"))["size"] == 14
files.makedirs(path("d/e"), exist_ok=True)
with open("local", "wb") as file:
    file.write(CONTENT)
files.put_file("local", path("d/e/put"))
files.get_file(path("d/e/put"), "back")
with open("back", "rb") as file:
    assert file.read() == CONTENT
files.put(["local", "back"], path("d/"))
assert sorted(os.path.basename(name) for name in files.glob(path("d/*"))) == ["back", "e", "local"]
assert [os.path.basename(name) for name in files.find(path("d"))] == ["back", "put", "local"]
assert sorted(os.path.basename(entry["name"]) for entry in files.ls(path("d"), detail=True)) == ["back", "e", "local"]
# With a transaction a file gets its name when all of them are there.
with files.transaction:
    with files.open(path("whole"), "wb") as file:
        file.write(CONTENT)
    assert not files.exists(path("whole"))
assert files.cat_file(path("whole")) == CONTENT
files.mv(path("whole"), path("d/moved"))
assert files.isfile(path("d/moved")) and not files.exists(path("whole"))
try:
    files.cat_file(path("none"))
except FileNotFoundError:
    pass
else:
    raise AssertionError("what is missing was read")
files.rm(path("d"), recursive=True)
assert not files.exists(path("d"))
