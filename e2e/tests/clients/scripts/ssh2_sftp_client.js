// What ssh2-sftp-client (npm, over ssh2) has for files and folders, at a server.
//
// ssh2_sftp_client.js HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.
"use strict";
const assert = require("assert");
const crypto = require("crypto");
const fs = require("fs");
const Client = require("ssh2-sftp-client");

const [host, port, username, key, , top] = process.argv.slice(2);
const content = crypto.createHash("shake256", { outputLength: 1000003 }).update("content").digest();
const at = (name) => top + name;

async function refused(promise, pattern) {
  const error = await promise.then(() => assert.fail("it was not refused"), (error) => error);
  assert.match(error.message, pattern);
}

// A call of the ssh2 library below, which takes a callback.
function raw(sftp, name, ...args) {
  return new Promise((resolve, reject) =>
    sftp.sftp[name](...args, (error, value) => (error ? reject(error) : resolve(value))));
}

async function files(sftp) {
  await sftp.put(content, at("data"));
  assert.deepEqual(await sftp.get(at("data")), content);
  fs.writeFileSync("local", content);
  await sftp.fastPut("local", at("fast"), { concurrency: 64, chunkSize: 32768 });
  await sftp.fastGet(at("fast"), "back", { concurrency: 64, chunkSize: 32768 });
  assert.deepEqual(fs.readFileSync("back"), content);
  await sftp.put(fs.createReadStream("local"), at("stream"));
  await sftp.get(at("stream"), fs.createWriteStream("back"));
  assert.deepEqual(fs.readFileSync("back"), content);
  await sftp.append(Buffer.from("more"), at("data"));
  assert.equal((await sftp.stat(at("data"))).size, content.length + 4);
  await sftp.rcopy(at("stream"), at("copy"));
  assert.deepEqual(await sftp.get(at("copy")), content);
  await sftp.chmod(at("copy"), 0o640);
  assert.equal((await sftp.stat(at("copy"))).mode & 0o777, 0o640);
  await sftp.rename(at("copy"), at("renamed"));
  await sftp.posixRename(at("renamed"), at("stream"));
  assert.equal(await sftp.exists(at("renamed")), false);
  assert.equal(await sftp.exists(at("stream")), "-");
  await sftp.delete(at("stream"));
  await sftp.delete(at("stream"), true);
}

async function folders(sftp) {
  await sftp.mkdir(at("d/e/f"), true);
  assert.equal(await sftp.exists(at("d/e/f")), "d");
  for (const name of ["one", "two", "three words", "żółw"]) await sftp.put(Buffer.from(name), at(`d/${name}`));
  const names = (await sftp.list(at("d"))).map((entry) => `${entry.type}${entry.name}`).sort();
  assert.deepEqual(names, ["-one", "-three words", "-two", "-żółw", "de"].sort());
  await sftp.downloadDir(at("d"), "d");
  assert.equal(fs.readFileSync("d/three words", "utf8"), "three words");
  await sftp.uploadDir("d", at("again"));
  assert.deepEqual(await sftp.get(at("again/żółw")), Buffer.from("żółw"));
  await sftp.rmdir(at("again"), true);
  assert.equal(await sftp.exists(at("again")), false);
  assert.equal(await sftp.realPath(at("d/../d/e/.")), at("d/e"));
}

// The library sends the link first and then its target, as the draft has it, and swaps them for OpenSSH.
async function links(sftp) {
  await raw(sftp, "symlink", "data", at("soft"));
  assert.equal(await raw(sftp, "readlink", at("soft")), "data");
  assert.equal(await sftp.exists(at("soft")), "l");
  assert.equal((await sftp.stat(at("soft"))).isFile, true);
  await raw(sftp, "ext_openssh_hardlink", at("data"), at("hard"));
  await raw(sftp, "ext_openssh_fsync", await raw(sftp, "open", at("hard"), "r+"));
}

// Programs match the words that sshd uses.
async function words(sftp) {
  await refused(sftp.get(at("none")), /No such file/);
  await refused(sftp.put(content, at("none/f")), /No such file/);
  await refused(sftp.list(at("none")), /No such file/);
  await refused(raw(sftp, "mkdir", at("d")), /^Failure/);
  await refused(sftp.rmdir(at("d")), /Failure/);
  await refused(sftp.rename(at("none"), at("x")), /No such file/);
  await refused(sftp.rename(at("data"), at("fast")), /Failure/);
  await refused(raw(sftp, "unlink", at("none")), /^No such file/);
}

async function main() {
  const sftp = new Client();
  await sftp.connect({ host, port: Number(port), username, privateKey: fs.readFileSync(key) });
  try {
    await files(sftp);
    await folders(sftp);
    await links(sftp);
    await words(sftp);
  } finally {
    await sftp.end();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
