"""What paramiko does by itself: keys from the home directory, READs far ahead, writes without waiting.

paramiko_defaults.py HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed. The
home has a sparse file `large` of 6 GiB, of which the first 64 MiB are read: all of it if SSHOME_PARAMIKO_WHOLE is set.
"""

import os
import shutil
import sys

import paramiko

host, port, user, key, known_hosts, top = sys.argv[1:]
OURS = top == "/"
CONTENT = bytes(range(256)) * 20_000
LARGE = 6 << 30


def path(name):
    return os.path.join(top, name)


def connect(**options):
    client = paramiko.SSHClient()
    client.load_host_keys(known_hosts)
    client.connect(host, int(port), user, **options)
    return client


def home_with_keys(*names):
    """Puts the right key in the home directory, under these names; others there are unknown to the server."""
    folder = os.path.expanduser("~/.ssh")
    os.makedirs(folder, exist_ok=True)
    for name in names:
        shutil.copy(key, os.path.join(folder, name))


home_with_keys("id_ed25519")
with connect(allow_agent=False) as client, client.open_sftp() as sftp:
    # 196,608 READs before the first answer is taken.
    with sftp.open(path("large"), "rb") as file:
        file.prefetch(LARGE)
        left = LARGE if os.environ.get("SSHOME_PARAMIKO_WHOLE") else 64 << 20
        while left:
            data = file.read(min(left, 1 << 20))
            assert data and not data.strip(b"\0"), "a hole reads as zeros"
            left -= len(data)

with connect(allow_agent=False) as client, client.open_sftp() as sftp:
    with sftp.open(path("pipelined"), "wb") as file:
        file.set_pipelined(True)
        for start in range(0, len(CONTENT), 30_000):
            file.write(CONTENT[start : start + 30_000])
    assert sftp.stat(path("pipelined")).st_size == len(CONTENT)
    sftp.get(path("pipelined"), "back")
    with open("back", "rb") as file:
        assert file.read() == CONTENT

# A key that the server refuses comes first: RSA before Ed25519.
paramiko.RSAKey.generate(2048).write_private_key_file(os.path.expanduser("~/.ssh/id_rsa"))
try:
    connect(allow_agent=False, auth_timeout=5).close()
except paramiko.AuthenticationException as refusal:
    # docs/clients.md: the second try is never answered.
    assert OURS, refusal
else:
    assert not OURS, "docs/clients.md says that this does not work"
connect(allow_agent=False, look_for_keys=False, key_filename=key).close()
