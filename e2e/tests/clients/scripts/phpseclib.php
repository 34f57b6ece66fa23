<?php
// What phpseclib 3 has for SFTP, at a server.
//
// phpseclib.php HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.

require '/usr/share/php/phpseclib3/autoload.php';

use phpseclib3\Crypt\PublicKeyLoader;
use phpseclib3\Net\SFTP;

[, $host, $port, $user, $key, , $top] = $argv;
$content = str_repeat(hash('sha512', 'content', true), 15_000);

function check(bool $holds, string $what): void
{
    global $sftp;
    if (!$holds) {
        fwrite(STDERR, "$what: " . implode(' | ', $sftp->getSFTPErrors()) . "\n");
        exit(1);
    }
}

$sftp = new SFTP($host, (int) $port);
check($sftp->login($user, PublicKeyLoader::load(file_get_contents($key))), 'login');
check($sftp->chdir($top), 'chdir');
check(rtrim($sftp->pwd(), '/') === rtrim($top, '/'), 'pwd');

check($sftp->put('data', $content), 'put');
check($sftp->get('data') === $content, 'get');
check($sftp->get('data', false, 1000, 70_000) === substr($content, 1000, 70_000), 'get of a range');
file_put_contents('local', $content);
check($sftp->put('file', 'local', SFTP::SOURCE_LOCAL_FILE), 'put of a file');
check($sftp->get('file', 'back') && file_get_contents('back') === $content, 'get into a file');
// The second half, after a first that is there.
check($sftp->put('resumed', substr($content, 0, 300_000)), 'the first half');
check($sftp->put('resumed', 'local', SFTP::SOURCE_LOCAL_FILE | SFTP::RESUME_START), 'resume');
check($sftp->get('resumed') === $content, 'what was resumed');

check($sftp->mkdir('d/e/f', -1, true), 'mkdir');
check($sftp->put('d/two words', 'x'), 'put below');
check($sftp->nlist('d') !== false && !array_diff(['two words', 'e'], $sftp->nlist('d')), 'nlist');
check($sftp->rawlist('d')['two words']['size'] === 1, 'rawlist');
check($sftp->is_dir('d/e') && $sftp->is_file('data') && !$sftp->file_exists('none'), 'kinds');
check($sftp->filesize('data') === strlen($content), 'filesize');
check($sftp->chmod(0640, 'data') !== false && ($sftp->fileperms('data') & 0777) === 0640, 'chmod');
check($sftp->touch('data', 1_100_000_000, 1_000_000_000), 'touch');
check($sftp->filemtime('data') === 1_100_000_000 && $sftp->fileatime('data') === 1_000_000_000, 'times');
check($sftp->truncate('data', 1234) && $sftp->filesize('data') === 1234, 'truncate');

// symlink(TARGET, LINK), as PHP's own.
check($sftp->symlink('data', 'soft'), 'symlink');
check($sftp->readlink('soft') === 'data', 'readlink');
check($sftp->is_link('soft'), 'is_link');
check($sftp->stat('soft')['size'] === 1234, 'stat of a link');

check($sftp->rename('file', 'renamed'), 'rename');
check(!$sftp->rename('renamed', 'data'), 'rename onto a file');
check($sftp->delete('renamed', false), 'delete');
check($sftp->delete('d', true) && !$sftp->file_exists('d'), 'delete of a folder');
check(!$sftp->delete('none', false), 'delete of what is missing');
check(!$sftp->put('none/f', 'x'), 'put into what is missing');
check(str_starts_with($sftp->getLastSFTPError(), 'NET_SFTP_STATUS_NO_SUCH_FILE: No such file'), 'its error');
