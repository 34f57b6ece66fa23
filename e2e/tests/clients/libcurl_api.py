"""What libcurl can do with sftp:// and scp:// at a server.

libcurl_api.py HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.
"""

import hashlib
import io
import os
import sys

import pycurl

host, port, user, key, known_hosts, top = sys.argv[1:]
OURS = top == "/"
CONTENT = hashlib.shake_256(b"content").digest(1_000_003)


def url(scheme, name):
    return f"{scheme}://{user}@{host}:{port}{os.path.join(top, name)}"


def transfer(scheme, name, upload=None, **options):
    """Runs one transfer and gives what came; options are libcurl's, in lower case."""
    curl, came = pycurl.Curl(), io.BytesIO()
    curl.setopt(pycurl.URL, url(scheme, name))
    curl.setopt(pycurl.SSH_AUTH_TYPES, pycurl.SSH_AUTH_PUBLICKEY)
    curl.setopt(pycurl.SSH_PRIVATE_KEYFILE, key)
    curl.setopt(pycurl.SSH_KNOWNHOSTS, known_hosts)
    curl.setopt(pycurl.WRITEDATA, came)
    if upload is not None:
        curl.setopt(pycurl.UPLOAD, 1)
        source = io.BytesIO(upload)
        # libcurl takes what it is to go on with from where the source is.
        source.seek(options.get("resume_from", 0))
        curl.setopt(pycurl.READDATA, source)
        curl.setopt(pycurl.INFILESIZE, len(upload))
    for option, value in options.items():
        curl.setopt(getattr(pycurl, option.upper()), value)
    try:
        curl.perform()
    finally:
        curl.close()
    return came.getvalue()


def refused(code, *arguments, **options):
    try:
        transfer(*arguments, **options)
    except pycurl.error as error:
        assert error.args[0] == code, error
        return
    raise AssertionError(f"{arguments} {options} is not refused")


def commands(*lines):
    """Quoted commands, before a listing."""
    transfer("sftp", "", quote=list(lines))


def at(name):
    return f'"{os.path.join(top, name)}"'


print(pycurl.version)
for scheme in ["sftp", "scp"]:
    transfer(scheme, f"{scheme}-f", CONTENT)
    assert transfer(scheme, f"{scheme}-f") == CONTENT, scheme
    transfer(scheme, f"{scheme}-empty", b"")
    assert transfer(scheme, f"{scheme}-empty") == b"", scheme
    transfer(scheme, f"{scheme}-mode", b"x", new_file_perms=0o640)
    refused(pycurl.E_REMOTE_FILE_NOT_FOUND, scheme, "none")
    transfer(scheme, f"{scheme}%20with%20space", CONTENT)
    assert transfer(scheme, f"{scheme}%20with%20space") == CONTENT, scheme
assert transfer("sftp", "sftp-f", range="1000-71000") == CONTENT[1000:71_001]
assert transfer("sftp", "sftp-f", resume_from=999_000) == CONTENT[999_000:]
transfer("sftp", "part", CONTENT[:500_000])
transfer("sftp", "part", CONTENT, resume_from=500_000)
assert transfer("sftp", "part") == CONTENT
transfer("sftp", "part", b"appended", append=1)
assert transfer("sftp", "part") == CONTENT + b"appended"
transfer("sftp", "deep/er/f", CONTENT, ftp_create_missing_dirs=1)
commands(
    f"mkdir {at('d')}",
    f"rename {at('part')} {at('d/moved')}",
    f"chmod 600 {at('d/moved')}",
    f"mtime \"Wed, 03 Jan 2001 04:05:06 GMT\" {at('d/moved')}",
    f"ln d/moved {at('soft')}",
    f"rm {at('sftp-empty')}",
    "pwd",
    f"statvfs {at('d')}",
)
lines = transfer("sftp", "d/").decode().splitlines()
moved = next(line for line in lines if line.endswith(" moved"))
assert moved.startswith("-rw-------") and " 1000011 " in moved and "2001" in moved, moved
names = transfer("sftp", "", dirlistonly=1).decode().split("\n")
assert "sftp-f" in names and "scp-f" in names and "sftp-empty" not in names
assert transfer("sftp", "soft") == CONTENT + b"appended"
assert any(line.endswith("soft -> d/moved") for line in transfer("sftp", "").decode().splitlines())
commands(f"rm {at('d/moved')}", f"rmdir {at('d')}")
refused(pycurl.E_QUOTE_ERROR, "sftp", "", quote=[f"rmdir {at('deep')}"])
refused(pycurl.E_REMOTE_FILE_NOT_FOUND, "sftp", "d/")
if OURS:
    refused(pycurl.E_SSH, "sftp", "large", upload=bytes(101 << 20))
